"""Starts the local cloud's processes, keeps them running, and leaves none behind."""
