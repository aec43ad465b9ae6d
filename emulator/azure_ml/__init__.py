"""The laptop's Azure ML: the REST API that azure-ai-ml calls, with jobs that train and slots that serve."""
