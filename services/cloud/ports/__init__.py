"""What the product needs of a cloud, as protocols: Azure's adapters and the in-memory fakes both fit them."""
