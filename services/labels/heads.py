"""What the first bytes of a label file tell of its content: the names in its first JSON object, or its XML root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

HEAD = 1 << 16
"""Bytes that are looked at: the first object of a list of tasks may hold many boxes before what tells its format."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}:"]', re.DOTALL)
_PROLOG = re.compile(r"\s*(?:(?:<\?.*?\?>|<!--.*?-->)\s*)*<([^\s<>/!?]+)", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class JsonHead(NamedTuple):
    """`kind` is empty where it is no JSON; `names` are those of the object, or of the first one in the list."""

    kind: Literal["object", "list", ""]
    names: frozenset[str]


@lru_cache(maxsize=1)
def json_head(head: bytes) -> JsonHead:
    """The names as far as the bytes reach; those within members do not count."""
    text = head.removeprefix(_BOM).lstrip()
    if text[:1] == b"{":
        return JsonHead("object", frozenset(_names(text, 1)))
    if text[:1] == b"[":
        return JsonHead("list", frozenset(_names(text, 2)))
    return JsonHead("", frozenset())


def _names(text: bytes, wanted: int) -> Iterator[str]:
    """Names of the first object at a depth; a list in its place has none."""
    depth, before = 0, b""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == b":" and depth == wanted:
            yield before[1:-1].decode("utf-8", "replace")
        depth += (token in b"[{") - (token in b"]}")
        ended = token in b"]}" and depth < wanted
        if ended or token == b'"' or (token == b"[" and depth == wanted):
            return
        before = token


def xml_root(head: bytes) -> str | None:
    """The name of the root element, empty where none can be told for certain; None where it is no XML."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        text = head.decode("utf-16", "replace")
    else:
        text = head.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] != "<":
        return None
    found = _PROLOG.match(text)
    return found[1] if found else ""
