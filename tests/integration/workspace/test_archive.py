"""Archiving data assets through the real SDK."""

from __future__ import annotations

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports.training import TableAsset

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations


def test_an_archived_table_is_marked_and_can_be_archived_again(workspace: AzureWorkspace) -> None:
    asset = TableAsset("retired-train", "1", "datasets/retired/1/train")
    workspace.register_table(asset)
    for _ in range(2):
        workspace.archive_table("retired-train", "1")
    found = workspace._client.data.get("retired-train", "1")
    assert str(found.path).rstrip("/").endswith("datasets/retired/1/train")
    workspace.archive_table("retired-train", "7")
    workspace.archive_table("nobody", "1")
    listed = [data.version for data in workspace._client.data.list("retired-train")]
    assert listed == []
