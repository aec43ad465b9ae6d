"""A JSON object of any size, read through a small window: lists among its members come element by element.

Where the window shows whole objects of a list, all of them are decoded at once, by pydantic's parser: twice as fast as
the standard library's. `json.JSONDecoder.raw_decode` takes what is left, one value at a time, and says exactly where
something is wrong. Both together were measured several times as fast as ijson, and need no further dependency.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from pydantic_core import from_json

STEP = 1 << 18
MOST_ELEMENT = 1 << 24
"""Characters that one element may have; also what is read at most before a broken one is given up."""
MOST_DEPTH = 200
"""Levels of one value, as pydantic's parser has it; the standard library's limit is another one in every Python."""
_TEXT_END = re.compile(r'["\\]')
_SPACE = re.compile(r"[ \t\n\r]*")
_BETWEEN = re.compile(r"}[ \t\n\r]*,[ \t\n\r]*\Z")
_BETWEEN_MOST = 64
"""Characters between two objects of a list, at most, where they are decoded at once."""


SHALLOW = f"JSON of at most {MOST_DEPTH} levels"


class JsonError(ValueError):
    """The text is not the JSON that is read here; `place` is the member or element where it was met."""

    def __init__(self, place: str, expected: str, found: str) -> None:
        """What was met instead of what."""
        super().__init__(f"{place}: expected {expected}, found {found}")
        self.place, self.expected, self.found = place, expected, found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse)
_decode = _decoder.raw_decode


def decode(data: bytes) -> Any:
    """A whole value that is at hand; the error's place is empty.

    Raises:
        JsonError: the bytes are no JSON in UTF-8, or nest too deeply.
    """
    try:
        value = _decoder.decode(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise JsonError("", "UTF-8 text", "other bytes") from None
    except RecursionError:
        raise JsonError("", SHALLOW, "a deeper one") from None
    except ValueError as error:
        raise JsonError("", "JSON", str(error)[:100]) from None
    if _too_deep(value):
        raise JsonError("", SHALLOW, "a deeper one")
    return value


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, (dict, list))]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


class _Window:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self._tried = False
        self.place = "start"

    def _more(self) -> bool:
        """Read on; False at the end."""
        fresh = ""
        while not fresh and not self._ended:
            chunk = next(self._chunks, b"")
            self._ended = not chunk
            fresh = self._decoded(chunk)
        self._text, self._at, self._tried = self._text[self._at :] + fresh, 0, False
        return bool(fresh)

    def _decoded(self, chunk: bytes) -> str:
        try:
            return self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            raise JsonError(self.place, "UTF-8 text", "other bytes") from None

    def peek(self) -> str:
        """The next character that is no white space, empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Step over one of some characters."""
        found = self.peek()
        if not found or found not in expected:
            self.fail(" or ".join(expected))
        self._at += 1
        return found

    def values(self) -> list[Any]:
        """The next values of a list: as many objects as are in the window, else one value."""
        self.peek()
        if not self._tried and (end := self._end_of_objects()) > self._at:
            self._tried = True  # what is no list of objects up to there is not looked at twice
            try:
                found: list[Any] = from_json(f"[{self._text[self._at : end]}]", allow_inf_nan=False)
            except (ValueError, RecursionError):
                return [self.value()]
            self._at = end
            return found
        return [self.value()]

    def _end_of_objects(self) -> int:
        """Where an object ends before the last that begins in the window; it may be deeper than the list, or a text.

        That all before it is a list on its own, and only that, proves that it is not.
        """
        last = self._text.rfind("{", self._at)
        start = max(self._at, last - _BETWEEN_MOST)
        found = _BETWEEN.search(self._text[start : max(last, start)])
        return start + found.start() + 1 if found else 0

    def value(self) -> Any:
        """The next value; one that is cut off by the window's end is tried again with more text."""
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except RecursionError:
                self.fail(SHALLOW)
            except ValueError as error:
                if len(self._text) - self._at > MOST_ELEMENT or not self._more():
                    raise JsonError(self.place, "JSON", str(error)[:100]) from None
                continue
            if not self._may_go_on(end) or not self._more():
                if _too_deep(value):
                    self.fail(SHALLOW)
                self._at = end
                return value

    def skip_text(self) -> None:
        """Step over a text without keeping it."""
        self.take('"')
        while self._at < len(self._text) or self._more():
            found = _TEXT_END.search(self._text, self._at)
            self._at = found.end() if found else len(self._text)
            if found and found[0] == '"':
                return
            if found and (self._at < len(self._text) or self._more()):
                self._at += 1  # what is escaped ends no text
        self.fail('"')

    def _may_go_on(self, end: int) -> bool:
        """Whether what ends here may be a number that the window's end cut: after 1, after 1. and after 1e+."""
        rest = self._text[end : end + 3]
        return not rest or (len(rest) < 3 and rest[0] in ".eE")

    def fail(self, expected: str) -> NoReturn:
        raise JsonError(self.place, expected, self._text[self._at : self._at + 20] or "the end of the file")


def in_steps(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks that are not too large for the window, without empty ones."""
    for chunk in chunks:
        for start in range(0, len(chunk), STEP):
            yield chunk[start : start + STEP]


def members(chunks: Iterator[bytes], skip: frozenset[str] = frozenset()) -> Iterator[tuple[str, int, Any]]:
    """Yield (name, -1, value) of each member, and for one that is a list (name, -1, None) and (name, index, element).

    Members in `skip` that are texts of any length are not held; their value is None.

    Raises:
        JsonError: the text is no JSON object, or nests too deeply, or one element is larger than MOST_ELEMENT.
    """
    window = _Window(in_steps(chunks))
    window.take("{")
    if window.peek() == "}":
        window.take("}")
    else:
        yield from _members(window, skip)
    _end(window)


def elements(chunks: Iterator[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield ("[index]", element) of a list, or ("", value) of anything else.

    Raises:
        JsonError: the text is no JSON, or nests too deeply, or one element is larger than MOST_ELEMENT.
    """
    window = _Window(in_steps(chunks))
    if window.peek() == "[":
        for _, index, value in _elements(window, ""):
            yield f"[{index}]", value
    else:
        yield "", window.value()
    _end(window)


def _end(window: _Window) -> None:
    window.place = "end"
    if window.peek():
        window.fail("the end of the file")


def _members(window: _Window, skip: frozenset[str]) -> Iterator[tuple[str, int, Any]]:
    separator = ","
    while separator == ",":
        if window.peek() != '"':
            window.fail("a name in quotes")
        name = window.value()
        window.place = name
        window.take(":")
        if window.peek() == "[":
            yield name, -1, None
            yield from _elements(window, name)
        elif name in skip and window.peek() == '"':
            window.skip_text()
            yield name, -1, None
        else:
            yield name, -1, window.value()
        window.place = name
        separator = window.take(",}")


def _elements(window: _Window, name: str) -> Iterator[tuple[str, int, Any]]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
        return
    index, separator = 0, ","
    while separator == ",":
        window.place = f"{name}[{index}]"
        for value in window.values():
            yield name, index, value
            index += 1
        separator = window.take(",]")
