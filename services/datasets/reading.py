"""Reads back what a dataset version holds, from its own immutable files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.datasets.jsonl import annotations_of, blob_of
from services.datasets.parts import files_of
from services.labels.annotation import Annotation
from services.state import DatasetVersion


@dataclass(frozen=True, slots=True)
class HoldoutImage:
    """An image of the validation split: its blob in the data container, its size in pixels as displayed."""

    blob: str
    width: int
    height: int
    annotations: tuple[Annotation, ...]


def holdout(system: BlobStore, version: DatasetVersion) -> list[HoldoutImage]:
    """Every image of a version's validation split, always in the same order.

    Raises:
        NotFound: the version's files are gone.
    """
    files = files_of(system, version, "validation")
    return [_image(json.loads(line)) for file in files for line in system.read(file).data.splitlines()]


def _image(content: dict[str, Any]) -> HoldoutImage:
    details = content["image_details"]
    annotations = annotations_of(content["label"])
    return HoldoutImage(blob_of(content["image_url"]), details["width"], details["height"], annotations)
