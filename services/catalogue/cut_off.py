"""Whether an image ends before its last pixel although its header is fine, as half a copy does.

Where the last bytes are those that the format ends with, nothing is decoded. Else decoding is the proof: trailers
behind the end are common (motion photographs, padding), and an image that decodes is not cut off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from services.catalogue.images import open_image

TAIL = 64
"""Bytes from the end that may settle it."""
_decoding = threading.Lock()
"""Several hostile images at once would need their pixels' memory several times over."""
_TIFF_PARTS = ((273, 279), (324, 325))
"""Offsets and byte counts of strips and of tiles."""


def ends_well(kind: str, head: bytes, tail: bytes, size: int) -> bool | None:
    """What head and tail (at most TAIL bytes) of an image of `size` bytes say; None where all of it must be seen."""
    check = _ENDS.get(kind)
    return check(head, tail, size) if check else None


def _jpeg(_: bytes, tail: bytes, __: int) -> bool | None:
    return tail.rstrip(b"\0\r\n").endswith(b"\xff\xd9") or None


def _png(_: bytes, tail: bytes, __: int) -> bool | None:
    return b"IEND\xaeB`\x82" in tail or None


def _bmp(head: bytes, _: bytes, size: int) -> bool | None:
    return 0 < int.from_bytes(head[2:6], "little") <= size or None


def _webp(head: bytes, _: bytes, size: int) -> bool:
    return int.from_bytes(head[4:8], "little") + 8 <= size


_ENDS: dict[str, Callable[[bytes, bytes, int], bool | None]] = {
    "jpeg": _jpeg,
    "png": _png,
    "bmp": _bmp,
    "webp": _webp,
}


def cut_off(kind: str, data: bytes) -> str:
    """Why a whole file with a readable header is cut off, or nothing."""
    good = ends_well(kind, data, data[-TAIL:], len(data))
    if good:
        return ""
    if good is False:
        return f"{len(data)} bytes, which are fewer than its header says"
    try:
        image = open_image(kind, data)
        return _tiff(image, len(data)) if kind == "tiff" else _decoded(image)
    except Exception as error:  # noqa: BLE001  # decoders of hostile bytes raise anything
        return str(error)[:100] or type(error).__name__


def _tiff(image: Any, size: int) -> str:
    parts = [pair for offsets, counts in _TIFF_PARTS for pair in _pairs(image.tag_v2, offsets, counts)]
    end = max((offset + count for offset, count in parts), default=0)
    return f"{size} bytes of {end}" if end > size else ""


def _pairs(tags: Any, offsets: int, counts: int) -> list[tuple[int, int]]:
    return list(zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False))


def _decoded(image: Any) -> str:
    with _decoding:
        image.draft(None, (image.width // 8, image.height // 8))  # a JPEG is scaled while it is decoded
        image.load()
    return ""
