"""The laptop's Event Grid: reads what happened to blobs from Azurite's log, and delivers as Event Grid does."""
