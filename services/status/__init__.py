"""What a person sees of the loops: documents, and a page."""
