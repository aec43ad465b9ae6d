"""The `Workspace` port over azure-ai-ml.

Nothing waits here: operations that take long are begun through the SDK's generated clients with `polling=False`, as
the public `begin_…` methods each start a thread that polls for as long as the operation takes.
Known ways of azure-ai-ml 1.35.2 that are met here: an endpoint's update sends its whole traffic, so it is read first;
registering an MLTable would read the blob and fetch a schema from the internet; models and data are immutable.
"""

from __future__ import annotations

from services.cloud.ml_assets import Assets
from services.cloud.ml_endpoints import Endpoints
from services.cloud.ml_training import Training


class AzureWorkspace(Assets, Training, Endpoints):
    """One workspace, by the app's identity; safe to share between threads."""
