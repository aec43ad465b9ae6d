"""The demonstration: a data set, an upload, and a loop that closes before one's eyes."""
