"""Azurite: Microsoft's storage emulator, installed from packages and run beside the rest."""
