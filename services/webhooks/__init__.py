"""Tells other systems of every step, signed by the Standard Webhooks scheme (https://www.standardwebhooks.com)."""
