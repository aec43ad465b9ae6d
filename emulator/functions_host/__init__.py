"""Runs a Python function app on the URLs, keys, bindings, queue and poison semantics of the real Functions host."""
