"""AutoML's JSON Lines under an MLTable each for train and validation, as one zip file: what Azure ML is given."""

from __future__ import annotations

from collections.abc import Iterator

from services.cloud.ports.storage import BlobStore
from services.datasets.files import mltable
from services.datasets.parts import SIDES, files_of
from services.export.zipped import Entry, zipped
from services.state import DatasetVersion


def jsonl(system: BlobStore, version: DatasetVersion) -> Iterator[bytes]:
    """A zip file, in pieces; each side's lines are one file, whatever parts it is stored in."""
    return zipped(_entries(system, version))


def _entries(system: BlobStore, version: DatasetVersion) -> Iterator[Entry]:
    for side in SIDES:
        file = f"{side}_annotations.jsonl"
        yield f"{side}/MLTable", [mltable([f"./{file}"])]
        yield f"{side}/{file}", (system.read(part).data for part in files_of(system, version, side))
