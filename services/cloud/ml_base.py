"""What each part of the workspace needs of it: the SDK's client, built at the first use, and Azure's names."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from services.cloud.ml_client import build_client
from services.settings import Settings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


class WorkspaceBase:
    """One workspace, by the app's identity; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is imported or called before the first use."""
        self._settings = settings
        self._lock = threading.Lock()
        self._built: MLClient | None = None

    @property
    def _client(self) -> MLClient:
        with self._lock:
            if self._built is None:
                self._built = build_client(self._settings)
            return self._built

    @cached_property
    def _workspace(self) -> Any:
        return self._client.workspaces.get(self._settings.workspace)

    @property
    def _location(self) -> str:
        return str(self._workspace.location)

    @property
    def _scope(self) -> dict[str, str]:
        return {"resource_group_name": self._settings.resource_group, "workspace_name": self._settings.workspace}

    @property
    def _workspace_id(self) -> str:
        settings = self._settings
        return (
            f"/subscriptions/{settings.subscription_id}/resourceGroups/{settings.resource_group}/providers"
            f"/Microsoft.MachineLearningServices/workspaces/{settings.workspace}"
        )

    def _arm_id(self, kind: str, name: str, version: str) -> str:
        return f"{self._workspace_id}/{kind}/{name}/versions/{version}"


def word(value: object) -> str:
    """The SDK gives texts here and enumerations there."""
    return str(getattr(value, "value", value) or "")
