"""COCO JSON: https://cocodataset.org/#format-data. Numbers are in pixels of the displayed image.

An image of a whole class has annotations without `bbox`, as Azure ML's labelling wrote them. `file_name` is the path
below the loop's `images/`; which side an image is on is an own member, `split`, that readers of COCO pass over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from services.export.images import ExportImage, Images
from services.labels.annotation import Annotation

_DIGITS = 3
"""Of a pixel: enough to be within half of one, and little to read."""


def coco(images: Images, classes: Sequence[str]) -> Iterator[bytes]:
    """One JSON document, in pieces of an image each; `images` is gone through twice."""
    numbers = {name: number for number, name in enumerate(classes, 1)}
    yield b'{"info":{"description":"Written by Visionloop"},"categories":'
    yield _json([{"id": number, "name": name} for name, number in numbers.items()])
    yield b',"images":['
    yield from _listed(_image(number, image) for number, image in enumerate(images(), 1))
    yield b'],"annotations":['
    yield from _listed(_annotations(images(), numbers))
    yield b"]}\n"


def _listed(objects: Iterable[dict[str, object]]) -> Iterator[bytes]:
    for number, each in enumerate(objects):
        yield (b",\n" if number else b"\n") + _json(each)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _image(number: int, image: ExportImage) -> dict[str, object]:
    size = {"width": image.width, "height": image.height}
    return {"id": number, "file_name": image.path, **size, "split": image.side}


def _annotations(images: Iterator[ExportImage], numbers: dict[str, int]) -> Iterator[dict[str, object]]:
    ids = count(1)
    for number, image in enumerate(images, 1):
        for annotation in image.annotations:
            ours = {"id": next(ids), "image_id": number, "category_id": numbers[annotation.label]}
            yield {**ours, **_shape(annotation, image)}


def _shape(annotation: Annotation, image: ExportImage) -> dict[str, object]:
    if annotation.box is None:
        return {}
    left, top, right, bottom = _pixels(annotation.box, image)
    box = [left, top, round(right - left, _DIGITS), round(bottom - top, _DIGITS)]
    outlines = [_pixels(polygon, image) for polygon in annotation.polygons]
    area = sum(map(_area, outlines)) if outlines else box[2] * box[3]
    segments = {"segmentation": outlines} if outlines else {}
    return {"bbox": box, "area": round(area, _DIGITS), "iscrowd": int(annotation.is_crowd), **segments}


def _pixels(shares: Sequence[float], image: ExportImage) -> list[float]:
    return [round(v * (image.height if at % 2 else image.width), _DIGITS) for at, v in enumerate(shares)]


def _area(outline: Sequence[float]) -> float:
    """By the shoelace formula, in pixels."""
    xs, ys = outline[::2], outline[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2
