"""YOLO's text files, one for an image: a line for each object, all numbers but the first in shares of the image.

`class x-middle y-middle width height` is a box, `class x1 y1 x2 y2 x3 y3 …` an outline. The class is a number; its name
is in another file, see class_lists.py, so a record keeps the number and waits for the name. An empty file says that
there is nothing in the image. Read by own code: a line is split, and libraries for that bring a framework along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.labels.lines import lines
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.values import bounds, number, shown
from services.state import Problem

MOST_BYTES = 16 * 2**20
"""A file is about one image."""
_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CLASS = re.compile(rb"\d{1,6}(?:\.0*)?")
_LINE = re.compile(rb"\s*\d{1,6}(?:\.0*)?(?:[ \t]+%s){4,}\s*" % _NUMBER)
_BOM = b"\xef\xbb\xbf"
_BOX, _CONFIDENT, _OUTLINE = 4, 5, 6


class YoloReader:
    """One file for one image."""

    name = "yolo"
    per_image = True

    def accepts(self, head: bytes) -> bool:
        """One good line will do; a line of many points may be cut at the end of the head."""
        whole = head.removeprefix(_BOM).split(b"\n")
        return any(_LINE.fullmatch(line) for line in whole)

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        found: list[RawLabel | Problem] = []
        read = 0
        for count, line in lines(chunks):
            read += len(line or b"") + 1
            if line is None or read > MOST_BYTES:
                expected = f"at most {MOST_BYTES} bytes for one image"
                yield problem("label-file-too-large", file, f"line {count}", expected=expected, found="more")
                return
            if stripped := line.removeprefix(_BOM if count == 1 else b"").strip():
                found.append(_label(file, f"line {count}", stripped))
        yield from with_problems(ImageRecord("", "", numbered=True), found)


def _label(file: str, place: str, line: bytes) -> RawLabel | Problem:
    first, *rest = line.split()
    numbers = [n for text in rest if (n := number(text.decode("ascii", "replace"))) is not None]
    good = _CLASS.fullmatch(first) and len(numbers) == len(rest)
    if not good or len(numbers) < _BOX or (len(numbers) != _BOX and (len(numbers) < _OUTLINE or len(numbers) % 2)):
        return _refused(file, place, line, len(numbers) >= _CONFIDENT and len(numbers) % 2 == 1)
    name = str(int(float(first)))
    if len(numbers) > _BOX:
        outline = tuple(numbers)
        return RawLabel(name, bounds([outline]), place, polygons=(outline,), shares=True)
    x, y, width, height = numbers
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return RawLabel(name, box, place, shares=True)


def _refused(file: str, place: str, line: bytes, confident: bool) -> Problem:
    expected = "class x y width height, or class and x y of at least three points"
    why = "a number too many, as predictions have their confidence: " if confident else ""
    text = shown(line.decode("utf-8", "replace"))
    return problem("yolo-line-invalid", file, place, expected=expected, found=f"{why}{text}")
