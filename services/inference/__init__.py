"""The way of a prediction: no SDK, few imports, pooled connections."""
