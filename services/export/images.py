"""The images of a dataset version as the writers take them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.datasets.jsonl import annotations_of, blob_of
from services.datasets.parts import SIDES, files_of
from services.datasets.splits import Side
from services.labels.annotation import Annotation
from services.state import DatasetVersion

_IMAGES = "images/"


@dataclass(frozen=True, slots=True)
class ExportImage:
    """`path` is below the loop's `images/`; width and height in pixels as displayed."""

    path: str
    width: int
    height: int
    side: Side
    annotations: tuple[Annotation, ...]


Images = Callable[[], Iterator[ExportImage]]
"""All images, in the same order at each call: writers that list them twice need not hold them."""


def images_of(system: BlobStore, version: DatasetVersion, loop: str) -> Images:
    """The images of a version, read part by part: a few thousand are held at a time."""
    return lambda: (
        _image(json.loads(line), side, f"{loop}/{_IMAGES}")
        for side in SIDES
        for file in files_of(system, version, side)
        for line in system.read(file).data.splitlines()
    )


def _image(content: dict[str, Any], side: Side, prefix: str) -> ExportImage:
    details = content["image_details"]
    path = blob_of(content["image_url"]).removeprefix(prefix)
    return ExportImage(path, details["width"], details["height"], side, annotations_of(content["label"]))
