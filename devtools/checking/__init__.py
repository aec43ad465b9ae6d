"""`dev.py check`: a folder on this machine, looked at as the app would look at it after an upload."""
