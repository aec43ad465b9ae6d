"""Which image of a Label Studio task something is about.

A result names an object of the labelling configuration (`to_name`), and the configuration says of which member of the
task's data that is: `<Image name="front" value="$front"/>`. An export does not have the configuration, so that of
several images a name is only known where it is that of the member too, as it is in Label Studio's own templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.labels.references import task_path

_IMAGE = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?)$", re.IGNORECASE)
_USUAL = "image"


class TaskImages:
    """The images that a task's data name."""

    def __init__(self, data: Any, names: Mapping[str, str] | None = None) -> None:
        """`names` are the members by the names of objects, where the configuration is known."""
        self._images, self._main, self._names = _images(data), image_of(data), names or {}
        self._are_one = _are_one([path for paths in self._images.values() for path in paths])

    @property
    def are_none(self) -> bool:
        """Whether the data name no image."""
        return not self._images

    @property
    def first(self) -> str | None:
        """The image that an annotation is about where there is but one: of several the usual one."""
        return self._only()

    def of(self, result: Mapping[str, Any]) -> str | None:
        """The image that a result is about; None where nobody can tell."""
        name = str(result.get("to_name"))
        paths = self._images.get(self._names.get(name, name))
        if paths is None and len(self._images) == 1:
            [paths] = self._images.values()
        if self._are_one:
            return self._only()
        return _page(paths, result.get("item_index")) if paths else None

    def of_nothing(self) -> str | None:
        """The image that an annotation without any label is about; None where it may be any of several."""
        return self._only() if self._are_one else self._images.get(_USUAL, [None])[0]

    def tells_apart(self, shapes: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the objects that shapes are in are known to be images of the data, or are one, which may be any."""
        names = {str(shape["to_name"]) for shape in shapes if shape.get("to_name") is not None}
        return len(names) < 2 or all(self._names.get(name, name) in self._images for name in names)

    def _only(self) -> str | None:
        return self._main or next((path for paths in self._images.values() for path in paths), None)


def image_of(data: Any) -> str | None:
    """The path of the image that a task's data name, or None.

    It is the value called `image` or else the first one that ends as an image does. Of `/data/local-files/?d=a/b.jpg`
    it is `a/b.jpg`; the eight characters and the hyphen that uploading puts before a name are taken off.
    """
    texts = {key: task_path(value) for key, value in data.items()} if isinstance(data, dict) else {}
    usual = texts.get(_USUAL)
    return next((text for text in (usual, *texts.values()) if text and _IMAGE.search(text)), usual)


def is_shape(result: Mapping[str, Any]) -> bool:
    """Whether a result has a place in its image."""
    value = result.get("value")
    return isinstance(value, dict) and ("x" in value or "points" in value)


def is_choice(result: Mapping[str, Any]) -> bool:
    """Whether a result is a choice that was made for an image, or for a text beside it."""
    value = result.get("value")
    return isinstance(value, dict) and "choices" in value


def object_names(configuration: Any) -> dict[str, str]:
    """The members of a task's data by the names of the images that show them; pure.

    One that cannot be read names none: Label Studio has taken it, and what it has no names for is told by itself.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(configuration if isinstance(configuration, str) else "")
    except (ParseError, DefusedXmlException, ValueError, RecursionError):
        return {}
    found = {image.get("name"): image.get("value") or image.get("valueList") for image in root.iter("Image")}
    return {name: value.removeprefix("$") for name, value in found.items() if name and value}


def _images(data: Any) -> dict[str, list[str]]:
    """The paths of images by the members that have them; one for each page where that is a list."""
    members = data.items() if isinstance(data, dict) else ()
    said = {key: value if isinstance(value, list) else [value] for key, value in members}
    paths = {key: [path for each in values if (path := task_path(each))] for key, values in said.items()}
    found = {key: each for key, each in paths.items() if each and all(_IMAGE.search(path) for path in each)}
    usual = image_of(data)
    return found or ({_USUAL: [usual]} if usual else {})


def _page(paths: Sequence[str], index: Any) -> str | None:
    if len(paths) == 1:
        return paths[0]
    is_number = isinstance(index, int) and not isinstance(index, bool)
    return paths[index] if is_number and 0 <= index < len(paths) else None


def _are_one(paths: Sequence[str]) -> bool:
    """Whether all are one image: a file's name beside its path is no other one."""
    longest = max(paths, key=len, default="")
    return all(longest == path or longest.endswith(f"/{path}") for path in paths)
