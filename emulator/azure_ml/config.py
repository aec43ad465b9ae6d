"""What the supervisor tells this process, and the addresses that follow from it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROVIDER = "Microsoft.MachineLearningServices"
LOCATION = "local"


@dataclass(frozen=True, slots=True)
class Config:
    """`config.json` of one local cloud."""

    folder: Path
    base_url: str
    subscription_id: str
    resource_group: str
    workspace: str
    datastores: list[dict[str, str]]
    identity_header: str
    event_topic: dict[str, str] | None = None
    capture: str | None = None
    jobs_at_once: int = 1
    training_command: list[str] = field(default_factory=lambda: [sys.executable, "-m", "emulator.azure_ml.training"])
    serving_command: list[str] = field(default_factory=lambda: [sys.executable, "-m", "emulator.azure_ml.serving"])

    @classmethod
    def read(cls, file: Path, folder: Path, base_url: str) -> Config:
        """Read the file; unknown members are an error."""
        found: dict[str, Any] = json.loads(file.read_text())
        return cls(folder=folder, base_url=base_url, **found)

    @property
    def scope(self) -> str:
        """The workspace's resource id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/{PROVIDER}/workspaces/{self.workspace}"
        )

    @property
    def operations(self) -> str:
        """Where long-running operations are looked at."""
        return f"{self.base_url}/subscriptions/{self.subscription_id}/providers/{PROVIDER}/locations/{LOCATION}"
