"""Masks of pixels within a box of their own, row by row, as CVAT and LabelMe have them, and their outlines."""

from __future__ import annotations

import binascii
import io
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import islice

from services.labels.annotation import Polygon
from services.labels.rle import outlines, read_mask

MOST_PIXELS = 1 << 26
"""Pixels that a mask which is a picture may declare; a larger one is not decoded."""
MOST_COUNTS = 1 << 18
"""Runs of a mask; one of noise would be outlined pixel by pixel."""
_HEADER = struct.Struct(">8s4x4sII")
_PNG = b"\x89PNG\r\n\x1a\n", b"IHDR"
_SET = re.compile(rb"[^\0]+")


def row_outlines(counts: Sequence[int], left: float, top: float, size: tuple[int, int]) -> tuple[Polygon, ...]:
    """Outlines in pixels of the image, none where counts and size (width, height) do not fit together.

    `counts` are of pixels out of and in the mask by turns. COCO counts column by column: x and y change places.
    """
    mask = read_mask({"size": [*size], "counts": [*counts]})
    return tuple(_moved(polygon, left, top) for polygon in outlines(mask)) if mask else ()


def _moved(polygon: Polygon, left: float, top: float) -> Polygon:
    swapped = zip(polygon[1::2], polygon[::2], strict=True)
    return tuple(n for x, y in swapped for n in (x + left, y + top))


def picture_counts(text: object, size: tuple[int, int]) -> list[int] | None:
    """The counts of a mask that is a PNG in base64, where all but 0 is in it; None where it is none of `size`."""
    try:
        data = binascii.a2b_base64(text) if isinstance(text, str) else b""
    except ValueError:
        return None
    if len(data) < _HEADER.size or size[0] * size[1] > MOST_PIXELS or _HEADER.unpack_from(data) != (*_PNG, *size):
        return None
    counts = [*islice(_counts(_pixels(data)), MOST_COUNTS + 1)]
    return counts if len(counts) <= MOST_COUNTS else None


def _pixels(data: bytes) -> bytes:
    """A byte a pixel, none where it cannot be decoded."""
    from PIL.PngImagePlugin import PngImageFile

    try:
        with PngImageFile(io.BytesIO(data)) as picture:
            return (picture if picture.mode == "P" else picture.convert("L")).tobytes()
    except Exception:  # noqa: BLE001  # decoders of hostile bytes raise anything
        return b""


def _counts(pixels: bytes) -> Iterator[int]:
    at = 0
    for run in _SET.finditer(pixels):
        yield run.start() - at
        yield run.end() - run.start()
        at = run.end()
    yield len(pixels) - at
