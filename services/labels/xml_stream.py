"""An XML file of any size, read by the children of its root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from services.labels.json_stream import in_steps

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MOST_BYTES = 1 << 24
"""Bytes that one child may take, with all that is in it."""
MOST_ELEMENTS = 1 << 18
MOST_DEPTH = 64


class XmlError(ValueError):
    """The text is no XML that is read here."""

    def __init__(self, place: str, expected: str, found: str) -> None:
        """What was met instead of what."""
        super().__init__(f"{place}: expected {expected}, found {found}")
        self.place, self.expected, self.found = place, expected, found


class _Source:
    """The chunks as a file, with a count of what was read since it was last set to 0."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = in_steps(chunks)
        self.count = 0

    def read(self, _: int) -> bytes:
        chunk = next(self._chunks, b"")
        self.count += len(chunk)
        if self.count > MOST_BYTES:
            raise XmlError("", f"elements below the root of at most {MOST_BYTES} bytes", "a larger one")
        return chunk


def children(chunks: Iterator[bytes]) -> Iterator[Element]:
    """Yield each child of the root when it is complete; it is emptied afterwards.

    Raises:
        XmlError: the text is no XML, declares a document type or entities, or a child is too large or too deep.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException

    try:
        yield from _children(_Source(chunks))
    except ParseError as error:
        raise XmlError(f"line {error.position[0]}", "XML", str(error)) from None
    except XmlError:
        raise
    except (DefusedXmlException, ValueError, LookupError) as error:
        raise XmlError("", "plain XML", f"{type(error).__name__}: {error}") from None


def _children(source: _Source) -> Iterator[Element]:
    from defusedxml.ElementTree import iterparse

    path: list[Element] = []
    elements = 0
    bytes_too: Any = source  # its types ask for a file of text
    for event, element in iterparse(bytes_too, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            path.append(element)
            elements += 1
            if len(path) > MOST_DEPTH or elements > MOST_ELEMENTS:
                expected = f"at most {MOST_ELEMENTS} elements below one of the root's, {MOST_DEPTH} deep"
                raise XmlError("", expected, "more")
            continue
        path.pop()
        if len(path) == 1:
            yield element
            path[0].clear()
            source.count = elements = 0
