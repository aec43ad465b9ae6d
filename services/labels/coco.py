"""COCO JSON: https://cocodataset.org/#format-data, object detection. Boxes are x, y, width, height in pixels.

Azure ML's own export has them in shares of the image. `labels.coordinates` in loop.yaml says which, or the file proves
it: see unit.py. Outlines are read where the options want them, or where an annotation has no box. One without either is
of the whole image, as classification has them; check.py refuses it where the task wants boxes.

The members come in any order (categories are often last), so annotations are kept as columns of numbers, 29 bytes
each, until the file's end.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any

from services.labels.annotation import Polygon
from services.labels.coco_columns import Boxes, Images
from services.labels.coco_outlines import NOTHING, Outlines, read_outline
from services.labels.heads import json_head
from services.labels.json_stream import JsonError, members
from services.labels.options import DEFAULT, Options
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading
from services.labels.references import image_path
from services.labels.unit import SETTLED, unit_of
from services.labels.values import MOST_NAME, bounds, class_name, number, shown, side, usable_text
from services.loop_config import Coordinates
from services.state import Problem

Key = int | str
_TOP = {"info", "licenses", "images", "annotations", "categories", "type", "videos"}
_LISTLESS = {"info", "licenses", "categories"}
"""All that `notes.json` has, which Label Studio's YOLO export comes with."""
_NO_COCO = {"id", "data"}
"""Label Studio's tasks have annotations as well."""
_CROWD, _WHOLE = 1, 2
_NO_BOX = (0.0, 0.0, 0.0, 0.0)


class CocoReader:
    """One file for many images."""

    name = "coco"
    per_image = False

    def __init__(self, options: Options = DEFAULT) -> None:
        """`options` is what loop.yaml says."""
        self._options = options

    def told(self, options: Options) -> CocoReader:
        return CocoReader(options)

    def accepts(self, head: bytes) -> bool:
        found = json_head(head)
        other = found.names & _NO_COCO or (found.names and not found.names & _TOP)
        return found.kind == "object" and not other

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        found = _Columns(file, self._options)
        try:
            for name, index, value in members(chunks):
                if index >= 0 and (trouble := found.take(name, index, value)):
                    yield trouble
                elif index < 0:
                    found.sections.add(name)
        except JsonError as error:
            yield problem("json-invalid", file, error.place, expected=error.expected, found=error.found)
            return
        yield from found.result()


class _Columns:
    """The file's content, annotations as columns; images and categories are numbered as they are first named."""

    def __init__(self, file: str, options: Options) -> None:
        self.file, self._options = file, options
        self.sections: set[str] = set()
        self._numbers: dict[Key, int] = {}
        self._images = Images()
        self._classes: dict[Key, str | None] = {}
        self._categories: list[Key] = []
        self._category_numbers: dict[Key, int] = {}
        self._broken: dict[int, int] = {}
        self._category, self._index = array("i"), array("i")
        self._last, self._before = array("i"), array("i")
        self._flags, self._boxes = array("b"), Boxes()
        self._outlines = Outlines()
        self._largest, self._whole, self._shares = 0.0, True, False

    def take(self, name: str, index: int, value: Any) -> Problem | None:
        """Take one element of one of the lists."""
        if name == "annotations":
            return self._take_annotation(index, value)
        if name == "images":
            return self._take_image(index, value)
        if name == "categories":
            return self._take_category(index, value)
        return None

    def _take_image(self, index: int, value: Any) -> Problem | None:
        key, name = _key(value, "id"), _name(_get(value, "file_name"))
        if key is None or name is None:
            found = f"id {shown(_get(value, 'id'))}, file_name {shown(_get(value, 'file_name'))}"
            return self._problem("coco-image-invalid", f"images[{index}]", "an id and a file_name", found)
        image = self._number(key)
        if image in self._images:
            return self._problem("coco-image-invalid", f"images[{index}].id", "an id of its own", shown(key))
        self._images.add(image, name, (side(value.get("width")), side(value.get("height"))), index)
        return None

    def _take_category(self, index: int, value: Any) -> Problem | None:
        key, name = _key(value, "id"), class_name(_get(value, "name"))
        if key is None or self._classes.get(key):
            found = shown(_get(value, "id"))
            return self._problem("coco-category-invalid", f"categories[{index}].id", "an id of its own", found)
        self._classes[key] = name
        if name is None:
            place = f"categories[{index}].name"
            return self._problem("class-invalid", place, "a class's name", shown(_get(value, "name")))
        return None

    def _take_annotation(self, index: int, value: Any) -> Problem | None:
        key, category = _key(value, "image_id"), _key(value, "category_id")
        if category is None and _get(value, "caption") is not None:
            return None  # of a file of sentences, which has no categories and is refused for that, once
        if key is None or category is None:
            found = f"image_id {shown(_get(value, 'image_id'))}, category_id {shown(_get(value, 'category_id'))}"
            self._note_broken(key)
            return self._problem("coco-annotation-invalid", f"annotations[{index}]", "both ids", found)
        said = value.get("bbox")
        boxless = said is None or said == []
        outline = read_outline(value.get("segmentation")) if self._options.polygons or boxless else NOTHING
        if outline is None:
            self._note_broken(key)
            expected, found = "polygons, or a mask of its size", shown(value.get("segmentation"))
            return self._problem("polygon-invalid", f"annotations[{index}].segmentation", expected, found)
        whole = boxless and not outline.polygons
        box = _numbers(said) if not boxless else _NO_BOX if whole else _around(outline.polygons)
        if box is None:
            self._note_broken(key)
            return self._problem("box-invalid", f"annotations[{index}].bbox", "[x, y, width, height]", shown(said))
        if self._options.polygons:
            self._outlines.add(len(self._index), outline)
        self._append(index, key, category, _CROWD * (value.get("iscrowd") == 1) | _WHOLE * whole, box)
        return None

    def _append(self, index: int, key: Key, category: Key, flags: int, box: Sequence[float]) -> None:
        image = self._number(key)
        self._before.append(self._last[image])
        self._last[image] = len(self._index)
        self._category.append(self._category_number(category))
        self._index.append(index)
        self._flags.append(flags)
        self._boxes.append(box)
        self._largest = max(self._largest, *box, -min(box))
        self._whole = self._whole and all(map(float.is_integer, box))

    def _number(self, key: Key) -> int:
        found = self._numbers.setdefault(key, len(self._numbers))
        if found == len(self._last):
            self._last.append(-1)
        return found

    def _category_number(self, key: Key) -> int:
        found = self._category_numbers.setdefault(key, len(self._categories))
        if found == len(self._categories):
            self._categories.append(key)
        return found

    def _note_broken(self, key: Key | None) -> None:
        if key is not None:
            image = self._number(key)
            self._broken[image] = self._broken.get(image, 0) + 1

    def _problem(self, code: str, place: str, expected: str, found: str) -> Problem:
        return problem(code, self.file, place, expected=expected, found=found)

    def result(self) -> Iterator[Reading]:
        """Everything that waited for the file's end."""
        if self.sections <= _LISTLESS and "categories" in self.sections:
            yield self._problem("coco-no-annotations", "", "images and annotations", "categories alone")
        elif missing := {"images", "annotations", "categories"} - self.sections:
            expected = "the lists images, annotations and categories"
            yield self._problem("coco-structure", "", expected, f"no {', '.join(sorted(missing))}")
        elif not self._index and not self._broken:
            yield self._problem("coco-no-annotations", "annotations", "annotations", "none")
        elif (unit := self._unit()) is None:
            found = f"no number above {self._largest:g}, and image sizes that prove neither"
            yield self._problem("coordinates-unclear", "annotations", SETTLED, found)
        else:
            self._shares = unit == "normalised"
            yield from self._records()

    def _unit(self) -> Coordinates | None:
        if not self._largest:
            return "pixels"  # no boxes, or all of zeros, which are so in both
        larger = map(self._has_pixels, self._numbers.values())
        return unit_of(self._options.coordinates, self._largest, whole=self._whole, larger_images=lambda: all(larger))

    def _has_pixels(self, image: int) -> bool:
        if image not in self._images or self._last[image] < 0:
            return True
        width, height = self._images.size(image)
        return width > 1 and height > 1

    def _records(self) -> Iterator[Reading]:
        for image in self._numbers.values():
            rows = self._rows(image)
            if image in self._images:
                found = [self._label(image, row) for row in rows]
                yield from (f for f in found if isinstance(f, Problem))
                yield self._record(image, tuple(f for f in found if isinstance(f, RawLabel)), len(rows))
            elif rows:
                place = f"annotations[{self._index[rows[0]]}].image_id"
                count = f"an unlisted one, in {len(rows)} annotations"
                yield self._problem("coco-annotation-invalid", place, "the id of one of images", count)

    def _record(self, image: int, labels: tuple[RawLabel, ...], rows: int) -> ImageRecord:
        name, (width, height) = self._images.name(image), self._images.size(image)
        broken = self._broken.get(image, 0) + rows - len(labels)
        return ImageRecord(name, f"images[{self._images.index(image)}]", labels, width, height, broken=broken)

    def _rows(self, image: int) -> list[int]:
        """An image's annotations in their order, which are chained from the last to the first."""
        found, row = [], self._last[image]
        while row >= 0:
            found.append(row)
            row = self._before[row]
        return found[::-1]

    def _label(self, image: int, row: int) -> RawLabel | Problem:
        index, category = self._index[row], self._categories[self._category[row]]
        name = self._classes.get(category)
        if name is None:
            place = f"annotations[{index}].category_id"
            return self._problem("coco-annotation-invalid", place, "the id of one of categories", shown(category))
        place, crowd = f"annotations[{index}]", bool(self._flags[row] & _CROWD)
        if self._flags[row] & _WHOLE:
            return RawLabel(name, None, place, crowd)
        x, y, width, height = self._boxes.of(row)
        polygons, size = self._outlines.of(row)
        if size is None:
            return RawLabel(name, (x, y, x + width, y + height), place, crowd, polygons, self._shares)
        said = self._images.size(image)
        if 0 not in said and said != size:
            expected, found = f"a mask of {said[0]} x {said[1]}, as the image is", f"{size[0]} x {size[1]}"
            return self._problem("polygon-invalid", f"{place}.segmentation", expected, found)
        return RawLabel(name, bounds(polygons), place, crowd, polygons)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _name(value: object) -> str | None:
    """The file as it is named, or the path of an address."""
    return image_path(value) if isinstance(value, str) and "://" in value else usable_text(value, MOST_NAME)


def _key(value: Any, name: str) -> Key | None:
    found = _get(value, name)
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def _around(polygons: Iterable[Polygon]) -> list[float]:
    left, top, right, bottom = bounds(polygons)
    return [left, top, right - left, bottom - top]


def _numbers(value: Any) -> list[float] | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    if {float}.issuperset(map(type, value)) and isfinite(sum(value)):  # nearly always, and much faster
        return value
    found = [number(v) for v in value if not isinstance(v, str)]
    return [f for f in found if f is not None] if len(found) == 4 and None not in found else None
