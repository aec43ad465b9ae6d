"""The laptop's Azure: processes to which the real SDKs talk over HTTP. Shares no code with the product."""
