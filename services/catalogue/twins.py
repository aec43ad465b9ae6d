"""Images with the same bytes under several names, found over all buckets without loading them.

Each bucket's summary has the contents of its images as eight bytes each: 118,287 images take 1.3 MB of the index.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from services.catalogue.documents import Summary

if TYPE_CHECKING:
    from services.catalogue.working import Working

MOST_NAMED = 20
"""Contents whose images are named: each may need another bucket."""


def pack(contents: Iterable[str]) -> str:
    """The first 64 bits of some hashes in hexadecimal digits, as text."""
    found = array("Q", sorted(int(content[:16], 16) for content in contents))
    if sys.byteorder == "big":
        found.byteswap()
    return base64.b64encode(found.tobytes()).decode()


def unpack(text: str) -> array[int]:
    """What was packed."""
    found = array("Q", base64.b64decode(text))
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _doubled(summaries: Sequence[Summary]) -> list[int]:
    """Every content but the first of its kind, in order."""
    contents = sorted(key for s in summaries for key in unpack(s.contents))
    return [key for key, following in pairwise(contents) if key == following]


def count(summaries: Sequence[Summary]) -> int:
    """Images whose content an image before them has."""
    return len(_doubled(summaries))


def named(working: Working) -> dict[str, list[str]]:
    """Some of these contents with their images' paths; buckets that did not change are loaded for new ones only."""
    summaries = [ref.summary for ref in working.index.buckets]
    wanted = sorted(set(_doubled(summaries)))[:MOST_NAMED]
    return {f"{key:016x}": _paths(working, summaries, key) for key in wanted}


def _paths(working: Working, summaries: Sequence[Summary], key: int) -> list[str]:
    buckets = [n for n, summary in enumerate(summaries) if key in unpack(summary.contents)]
    known = working.index.twins.get(text := f"{key:016x}")
    if known and not set(buckets) & working.loaded.keys():
        return known
    images = (entry for n in buckets for entry in working.bucket(n).images.values())
    return sorted(entry.path for entry in images if entry.facts and entry.content.startswith(text))
