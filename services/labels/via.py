"""JSON of the VGG Image Annotator (VIA) 1 and 2: its annotations, or a project. What regions are: via_regions.py.

Annotations are an object with a member for each image, named by file name and size; in a project, `_via_img_metadata`
is that object. Versions before 2 have the regions of an image as an object by their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from services.labels.heads import json_head
from services.labels.json_stream import members
from services.labels.problems import printable, problem
from services.labels.record import Reading
from services.labels.values import shown
from services.labels.via_regions import Region, Regions
from services.labels.whole_file import all_or_nothing

_IMAGES, _PROJECT = "_via_img_metadata", "_via_"
_OWN = re.compile(rb'"(?:_via_img_metadata|shape_attributes|file_attributes)"\s*:')


class ViaReader:
    """One file for many images."""

    name = "via"
    per_image = False

    def accepts(self, head: bytes) -> bool:
        return json_head(head).kind == "object" and _OWN.search(head) is not None

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return all_or_nothing(file, _readings(file, chunks))


def _readings(file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
    regions = Regions(file)
    for name, index, value in members(chunks):
        if name == _IMAGES and isinstance(value, dict):
            for key, each in value.items():
                yield from _image(file, regions, key, each)
        elif index < 0 and not name.startswith(_PROJECT):
            yield from _image(file, regions, name, value)


def _image(file: str, regions: Regions, key: str, value: Any) -> Iterator[Reading]:
    place = printable(key)
    content = value if isinstance(value, dict) else {}
    found = content.get("regions")
    each = [*found.values()] if isinstance(found, dict) else found
    if not isinstance(each, list):
        expected = "an image with its regions"
        yield problem("via-structure", file, place, expected=expected, found=shown(found if content else value))
        return
    listed = (_region(f"{place}.regions[{index}]", region) for index, region in enumerate(each))
    yield from regions.image(place, content.get("filename"), content.get("file_attributes"), listed)


def _region(place: str, value: Any) -> Region:
    content = value if isinstance(value, dict) else {}
    return place, content.get("shape_attributes"), content.get("region_attributes")
