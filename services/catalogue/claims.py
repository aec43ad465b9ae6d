"""What our own uploads say of an image, so that its header need not be read again: format, size, rotation, MD5.

It is metadata of the blob, `1 jpeg 640 480 0 <MD5>`: version, format, displayed width and height in pixels, 1 where
EXIF turns it by 90 degrees, and the MD5 of the bytes that were looked at. It comes with the listing; a header takes a
request.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from services.catalogue.cut_off import TAIL, ends_well
from services.catalogue.images import HEADER, ImageFacts, Unreadable, read_facts

_CLAIM = re.compile(r"1 (jpeg|png|bmp|webp) ([1-9]\d{0,5}) ([1-9]\d{0,5}) ([01]) ([0-9a-f]{32})", re.ASCII)
"""The version is another one when the header reader finds something else."""


def claim_of(read: Callable[[int, int], bytes], size: int, md5: str) -> str:
    """What is to be said of an image of `size` bytes; empty where the catalogue should look for itself.

    Args:
        read: takes offset and length.
        size: in bytes.
        md5: of all of it, in hexadecimal digits.
    """
    try:
        facts = read_facts(read, size)
    except Unreadable:
        return ""
    head, tail = read(0, min(HEADER, size)), read(max(0, size - TAIL), min(TAIL, size))
    whole = ends_well(facts.format, head, tail, size)
    return f"1 {facts.format} {facts.width} {facts.height} {int(facts.rotated)} {md5}" if whole else ""


def claim_of_bytes(data: bytes) -> str:
    """The same of an image in memory; empty of anything else."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return claim_of(lambda offset, length: data[offset : offset + length], len(data), md5)


def claimed(claim: str, md5: str) -> ImageFacts | None:
    """The facts that are claimed of the bytes with this MD5; None where there is any doubt."""
    found = _CLAIM.fullmatch(claim)
    if found is None or not md5 or found[5] != md5:
        return None
    return ImageFacts(found[1], int(found[2]), int(found[3]), found[4] == "1")
