"""Pascal VOC XML: one file an image, named as the image. Boxes are xmin, ymin, xmax, ymax in pixels.

The element `filename` is not trusted: tools leave the old name in it when files are renamed or augmented.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from services.labels.heads import xml_root
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.values import MOST_NAME, class_name, number, shown, side, usable_text
from services.state import Problem

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_BYTES = 16 * 2**20
"""An XML file is about one image and is read at once."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocReader:
    """One file for one image."""

    name = "voc"
    per_image = True

    def accepts(self, head: bytes) -> bool:
        return xml_root(head) not in {None, "annotations"}  # which is CVAT's

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        root = _root(file, chunks)
        if isinstance(root, Problem):
            yield root
            return
        labels = (_label(file, i, e) for i, e in enumerate(root.findall("object"), 1))
        name = usable_text(root.findtext("filename"), MOST_NAME) or ""
        width, height = side(root.findtext("size/width")), side(root.findtext("size/height"))
        yield from with_problems(ImageRecord(name, "annotation", width=width, height=height), labels)


def _root(file: str, chunks: Iterator[bytes]) -> Element | Problem:
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    text = b""
    for chunk in chunks:
        text += chunk
        if len(text) > MOST_BYTES:
            limit = f"at most {MOST_BYTES} bytes of XML"
            return problem("label-file-too-large", file, expected=limit, found="more")
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except ParseError as error:
        return problem("xml-invalid", file, f"line {error.position[0]}", expected="XML", found=str(error))
    except (DefusedXmlException, ValueError, LookupError) as error:
        return problem("xml-invalid", file, expected="plain XML", found=f"{type(error).__name__}: {error}")
    if root.tag != "annotation":
        return problem("voc-structure", file, expected="<annotation>", found=f"<{root.tag}>")
    return root


def _label(file: str, index: int, element: Element) -> RawLabel | Problem:
    place = f"annotation/object[{index}]"
    name = class_name(element.findtext("name"))
    if name is None:
        found = shown(element.findtext("name"))
        return problem("class-invalid", file, f"{place}/name", expected="a class's name", found=found)
    texts = [element.findtext(f"bndbox/{corner}") for corner in _CORNERS]
    left, top, right, bottom = (number(text) for text in texts)
    if left is None or top is None or right is None or bottom is None:
        expected, found = "xmin, ymin, xmax, ymax in pixels", shown(texts)
        return problem("box-invalid", file, f"{place}/bndbox", expected=expected, found=found)
    return RawLabel(name, (left, top, right, bottom), place)
