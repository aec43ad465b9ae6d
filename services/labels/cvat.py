"""CVAT XML 1.1 "for images": one file for many images, in pixels of the displayed image.

Contract: CVAT, "XML annotation format", version 1.1, annotation. CVAT lists every image of a task, labelled or not, so
an image without shapes is unlabelled; in a file with shapes, the tag `negative` says that nothing is in an image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from services.labels.cvat_shapes import label_of
from services.labels.heads import xml_root
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.references import image_path
from services.labels.values import shown, side
from services.labels.whole_file import all_or_nothing
from services.labels.xml_stream import children
from services.state import Problem

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NEGATIVE = "negative"


class CvatReader:
    """One file for many images."""

    name = "cvat"
    per_image = False

    def accepts(self, head: bytes) -> bool:
        return xml_root(head) == "annotations"

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return all_or_nothing(file, _readings(file, chunks))


def _readings(file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
    """Images that may be negatives come last: whether the file has shapes is known at its end."""
    count: Counter[str] = Counter()
    held: list[ImageRecord] = []
    with_shapes = False
    for element in children(chunks):
        count[element.tag] += 1
        for each in _image(file, f"image[{count['image']}]", element) if element.tag == "image" else ():
            if isinstance(each, Problem):
                yield each
            elif says_negative(each):
                held.append(each)
            elif each.labels or each.broken:
                with_shapes = with_shapes or any(label.box for label in each.labels)
                yield each
    yield from (replace(each, labels=()) if with_shapes else each for each in held)
    if not count["image"] or count["track"]:
        listed = ", ".join(f"{number} <{tag}>" for tag, number in count.most_common(3)) or "nothing"
        yield problem("cvat-structure", file, expected="an <image> for each image", found=listed)


def says_negative(record: ImageRecord) -> bool:
    """Whether the tag that says so is all that the image has."""
    return not record.broken and [(label.label, label.box) for label in record.labels] == [(NEGATIVE, None)]


def _image(file: str, place: str, element: Element) -> Iterator[Reading]:
    name = image_path(element.get("name"))
    if name is None:
        expected, found = "the name of an image", shown(element.get("name"))
        yield problem("cvat-structure", file, f"{place}/@name", expected=expected, found=found)
        return
    record = ImageRecord(name, place, width=side(element.get("width")), height=side(element.get("height")))
    yield from with_problems(record, _labels(file, place, element))


def _labels(file: str, place: str, element: Element) -> Iterator[RawLabel | Problem]:
    count: Counter[str] = Counter()
    for each in element:
        count[each.tag] += 1
        yield from label_of(file, f"{place}/{each.tag}[{count[each.tag]}]", each)
