"""Lists of images, a path a line: `train.txt` as Darknet, Ultralytics and CVAT write it for each side of a split.

They label nothing, and the app splits for itself: such a file is known, and passed over.
"""

from __future__ import annotations

import re

FORMAT = "image-list"
_LINE = re.compile(rb"[^\x00-\x1f<>{}\"|?*]+\.(?:jpe?g|png|bmp|webp|tiff?)", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"


def is_image_list(head: bytes, *, whole: bool) -> bool:
    """Whether every line names an image; the last one does not count where the file goes on after `head`."""
    found = head.removeprefix(_BOM).split(b"\n")
    lines = [line for each in (found if whole else found[:-1]) if (line := each.strip())]
    return bool(lines) and all(map(_LINE.fullmatch, lines))
