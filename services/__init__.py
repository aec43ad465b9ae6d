"""What the product does: one module or package a capability; see docs/architecture.md."""

__version__ = "0.1.0"
