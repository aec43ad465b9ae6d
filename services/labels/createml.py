"""Apple's Create ML JSON, which Turi Create and Roboflow write too: a list of images, boxes by their middle, in pixels.

Contract: Apple, "Building an object detector data source": `image` (or `imagefilename`) and `annotations` (or
`annotation`) with `label` and `coordinates` x, y, width, height from the top left. Unit and anchor are not in the file:
they are Create ML's defaults here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.labels.heads import json_head
from services.labels.json_stream import elements
from services.labels.options import DEFAULT, Options
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.references import image_path
from services.labels.shapes import reals
from services.labels.unit import SETTLED
from services.labels.values import class_name, shown
from services.labels.whole_file import all_or_nothing
from services.loop_config import Coordinates
from services.state import Problem

_IMAGES, _ENTRIES = ("image", "imagefilename"), ("annotations", "annotation")
_BARE = {"label", "uniqueIdentifier"}
"""With no more than that an annotation is a class of the whole image; another tool's box must not be taken for one."""
_SIDES = ("x", "y", "width", "height")


class CreatemlReader:
    """One file for many images."""

    name = "createml"
    per_image = False

    def __init__(self, options: Options = DEFAULT) -> None:
        """`options` is what loop.yaml says."""
        self._unit = options.coordinates

    def told(self, options: Options) -> CreatemlReader:
        return CreatemlReader(options)

    def accepts(self, head: bytes) -> bool:
        kind, names = json_head(head)
        has_both = not names.isdisjoint(_IMAGES) and not names.isdisjoint(_ENTRIES)
        return kind == "list" and has_both and "annotation_id" not in names  # that is Label Studio's

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        each = (reading for place, value in elements(chunks) for reading in _image(file, place, value, self._unit))
        return all_or_nothing(file, each)


def _image(file: str, place: str, value: Any, unit: Coordinates) -> Iterator[Reading]:
    content = value if isinstance(value, dict) else {}
    named, said = (next((content[n] for n in names if n in content), None) for names in (_IMAGES, _ENTRIES))
    image, entries = image_path(named), [said] if isinstance(said, str) else said
    if image is None:
        found = shown(named if content else value)
        yield problem("createml-structure", file, place, expected="the name of an image", found=found)
    elif not isinstance(entries, list):
        yield problem("createml-structure", file, place, expected="a list of annotations", found=shown(said))
    else:
        labels = (_label(file, f"{place}.annotations[{i}]", entry, unit) for i, entry in enumerate(entries))
        yield from with_problems(ImageRecord(image, place), labels)


def _label(file: str, place: str, entry: Any, unit: Coordinates) -> RawLabel | Problem:
    content = {"label": entry} if isinstance(entry, str) else entry if isinstance(entry, dict) else {}
    name = class_name(content.get("label"))
    if name is None:
        found = shown(content.get("label", entry))
        return problem("class-invalid", file, f"{place}.label", expected="a class's name", found=found)
    if content.keys() <= _BARE:
        return RawLabel(name, None, place)
    said = content.get("coordinates")
    sides = reals(said.get(side) for side in _SIDES) if isinstance(said, dict) else None
    if sides is None:
        expected, found = f"{', '.join(_SIDES)}, x and y being the middle", shown(said or content)
        return problem("box-invalid", file, f"{place}.coordinates", expected=expected, found=found)
    if unit == "auto" and max(map(abs, sides)) <= 1:
        return problem("coordinates-unclear", file, f"{place}.coordinates", expected=SETTLED, found=shown(said))
    x, y, width, height = sides
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return RawLabel(name, box, place, shares=unit == "normalised")
