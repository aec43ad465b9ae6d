"""Any dataset version in any format, over HTTP.

A Python function answers with bytes, not with a stream, and what it answers is held by the worker and by the host. So
an export is written to storage once, and asked for by ranges (RFC 9110, 14): a range has at most MOST bytes, and only
an export that is no longer may be asked for without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.cloud.ports.storage import BlobStore
from services.datasets.documents import version_of
from services.errors import BadRequest, RangeNotSatisfiable, TooLarge
from services.export.coco import coco
from services.export.images import images_of
from services.export.jsonl import jsonl
from services.export.store import BLOCK, ExportStore
from services.export.yolo import yolo
from services.state import DatasetVersion
from services.state_store import StateStore

MOST = 4 * BLOCK
WRITER = "1"
"""Raised when a writer writes other bytes: exports of older writers are not answered any more."""
KINDS = {"coco": ("json", "application/json"), "jsonl": ("zip", "application/zip"), "yolo": ("zip", "application/zip")}
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]
    content_type: str


class Exports:
    """Writes exports when they are first asked for."""

    def __init__(self, states: StateStore, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._states, self._system = states, system

    def export(self, loop: str, number: str, kind: str, wanted: str) -> Answer:
        """An export or a range of it; `kind` is the format, `wanted` the header Range.

        Raises:
            BadRequest: no such format, or one that this task has no place in.
            NotFound: no such loop or version.
            Conflict: two images would share a label file.
            TooLarge: it has to be asked for by ranges.
            RangeNotSatisfiable: a range behind its end.
        """
        _, version = version_of(self._states, loop, number)
        if kind not in KINDS:
            raise BadRequest(f"format must be one of {', '.join(KINDS)}")
        store = ExportStore(self._system, f"{version.folder}exports/{kind}-{WRITER}/")
        size = store.size()
        if size is None:
            size = store.write(self._pieces(version, loop, kind))
        etag = f'"{version.content_hash}-{kind}-{WRITER}"'
        extension, content_type = KINDS[kind]
        name = f"{loop}-{version.number}-{kind}.{extension}"
        start, end, headers = _range(wanted, size)
        headers |= {"etag": etag, "content-disposition": f'attachment; filename="{name}"', "accept-ranges": "bytes"}
        return Answer(206 if "content-range" in headers else 200, store.read(start, end), headers, content_type)

    def _pieces(self, version: DatasetVersion, loop: str, kind: str) -> Iterator[bytes]:
        if kind == "jsonl":
            return jsonl(self._system, version)
        images = images_of(self._system, version, loop)
        if kind == "coco":
            return coco(images, version.classes)
        if version.task in {"image_classification", "image_classification_multilabel"}:
            raise BadRequest(f"YOLO's label files hold boxes and outlines, not {version.task}: ask for jsonl or coco")
        return yolo(images, version.classes)


def _range(wanted: str, size: int) -> tuple[int, int, dict[str, str]]:
    """Start, end and headers; what is no single range of bytes is passed over, as RFC 9110 asks."""
    match = _RANGE.fullmatch(wanted.strip())
    first, last = match.groups() if match else ("", "")
    if not first and not last:
        if size > MOST:
            raise TooLarge(f"The export has {size} bytes: ask for ranges of at most {MOST}, by the header Range")
        return 0, size, {}
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1 if first and last else size, size, start + MOST)
    if start >= end:
        raise RangeNotSatisfiable(f"The export has {size} bytes, and no range {wanted[:50]!r}")
    return start, end, {"content-range": f"bytes {start}-{end - 1}/{size}"}
