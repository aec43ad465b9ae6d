"""Which loop an event concerns. An event is only a hint: what cannot be read wakes nobody, and loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from services.names import CAPTURED, loop_of_blob, loop_of_job

STORAGE_TYPES = frozenset({"Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobDeleted"})
RUN_TYPES = frozenset(
    {
        "Microsoft.MachineLearningServices.RunCompleted",
        "Microsoft.MachineLearningServices.RunStatusChanged",
    }
)
COMPLETE_WRITES = frozenset({"CopyBlob", "PutBlob", "PutBlockList", "FlushWithClose", "DeleteBlob", "DeleteFile"})
"""https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage: other calls leave a blob half written."""


def loop_of_storage_event(kind: str, subject: str, data: object, container: str) -> str | None:
    """The loop of a blob event of the data container, or None where it is nobody's."""
    if kind not in STORAGE_TYPES:
        return None
    api = _member(data, "api")
    if isinstance(api, str) and api not in COMPLETE_WRITES:
        return None
    prefix = f"/blobServices/default/containers/{container}/blobs/"
    if not subject.startswith(prefix):
        return None
    name = unquote(subject.removeprefix(prefix))
    return None if name.partition("/")[2].startswith(CAPTURED) else loop_of_blob(name)


def loop_of_ml_event(kind: str, subject: str, data: object) -> str | None:
    """The loop whose job a run event tells of; None for trials, and for anybody else's runs."""
    if kind not in RUN_TYPES:
        return None
    run = _member(data, "runid") or subject.rpartition("/runs/")[2]
    return loop_of_job(run) if isinstance(run, str) else None


def _member(data: object, name: str) -> Any:
    """A member whatever its case: Azure ML writes runId and RunId."""
    if not isinstance(data, Mapping):
        return None
    return next((value for key, value in data.items() if str(key).lower() == name), None)
