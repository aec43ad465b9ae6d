"""Size and rotation of JPEG, PNG and WebP by their headers alone: this is on the way of every prediction, so no decoder
is imported for it. Held against Pillow's reading of the same bytes by tests.

JPEG: ITU-T T.81 annex B; PNG: https://www.w3.org/TR/png-3; WebP: RFC 9649; EXIF is a TIFF file in all of them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_ORIENTATION = 0x0112
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that begin a frame, and hold its size."""
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
_MOST_PARTS = 4096
"""Segments or chunks that are looked at: hostile bytes could hold millions."""
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")


class Broken(ValueError):
    """The header is not as its format demands."""


class Header(NamedTuple):
    """Size as stored, in pixels, and EXIF orientation: 1 to 8, 1 where there is none."""

    width: int
    height: int
    orientation: int = 1


def read_header(data: bytes) -> Header | None:
    """The header of an image; None where it is none of these formats.

    Raises:
        Broken: it begins like one, and does not go on like it.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _sized(_jpeg(data))
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _sized(_png(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _sized(_webp(data))
    except (struct.error, IndexError):
        raise Broken("it ends within its header") from None
    return None


def is_heif(data: bytes) -> bool:
    """Whether these are HEIC, HEIF or AVIF, as phones store photographs."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF


def _sized(found: Header) -> Header:
    if found.width < 1 or found.height < 1:
        raise Broken("it declares no size")
    return found


def _jpeg(data: bytes) -> Header:
    place, orientation = 2, 0
    for _ in range(_MOST_PARTS):
        place = data.find(b"\xff", place)
        if place < 0:
            raise IndexError
        marker = data[place + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return Header(width, height, orientation or 1)
        if marker in (0xD9, 0xDA):
            raise Broken("it has no frame")
        if marker == 0xE1 and not orientation and data.startswith(b"Exif\0\0", place + 4):
            orientation = _orientation(data[place + 10 : place + _segment(data, place)])
        place += _segment(data, place)
    raise Broken("its frame does not come")


def _segment(data: bytes, place: int) -> int:
    """Bytes from a marker to where the next may be."""
    marker = data[place + 1]
    if marker == 0xFF:
        return 1  # filling
    if marker in _ALONE:
        return 2
    length: int = struct.unpack_from(">H", data, place + 2)[0]
    return 2 + max(length, 2)


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise Broken("it does not begin with IHDR")
    width, height = struct.unpack_from(">II", data, 16)
    return Header(width, height, _png_orientation(data))


def _png_orientation(data: bytes) -> int:
    place = 33
    for _ in range(_MOST_PARTS):
        kind = data[place + 4 : place + 8]
        if len(kind) < 4 or kind == b"IDAT":
            break
        length: int = struct.unpack_from(">I", data, place)[0]
        if kind == b"eXIf":
            return _orientation(data[place + 8 : place + 8 + length])
        place += 12 + length
    return 1


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise Broken("its frame does not begin as VP8 does")
        width, height = struct.unpack_from("<HH", data, 26)
        return Header(width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        bits: int = struct.unpack_from("<I", data, 21)[0]
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind != b"VP8X":
        raise Broken("it begins with an unknown chunk")
    width = int.from_bytes(data[24:27], "little") + 1
    height = int.from_bytes(data[27:30], "little") + 1
    has_exif = len(data) >= 30 and data[20] & 0x08
    return Header(width, height, _webp_orientation(data) if has_exif else 1)


def _webp_orientation(data: bytes) -> int:
    place = 30
    for _ in range(_MOST_PARTS):
        if place + 8 > len(data):
            break
        length: int = struct.unpack_from("<I", data, place + 4)[0]
        if data[place : place + 4] == b"EXIF":
            return _orientation(data[place + 8 : place + 8 + length].removeprefix(b"Exif\0\0"))
        place += 8 + length + (length & 1)
    return 1


def _orientation(tiff: bytes) -> int:
    """A broken block leaves the image as it is stored, as viewers do."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        first: int = struct.unpack_from(f"{order}I", tiff, 4)[0]
        count: int = struct.unpack_from(f"{order}H", tiff, first)[0]
        return next((v for n in range(count) if (v := _entry(tiff, order, first + 2 + 12 * n))), 1)
    except struct.error:
        return 1


def _entry(tiff: bytes, order: str, place: int) -> int:
    """The orientation, where this entry is it and holds one; else 0."""
    tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
    if tag != _ORIENTATION or kind not in (3, 4):
        return 0
    value: int = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", tiff, place + 8)[0]
    return value if 1 <= value <= 8 else 0
