"""Files that count as a whole or not at all: half an upload must not look like deleted labels."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache
from itertools import islice

from pydantic import TypeAdapter

from services.labels.json_stream import JsonError
from services.labels.problems import problem
from services.labels.record import Reading
from services.labels.xml_stream import XmlError
from services.state import Problem

BATCH = 1000
"""Readings that are held as objects; more of them wait for the file's end packed, in a tenth of the memory."""


def all_or_nothing(file: str, readings: Iterator[Reading]) -> Iterator[Reading]:
    """Everything that is read of a file, or only the problem where it breaks off or is no JSON or XML."""
    packed: list[bytes] = []
    try:
        while len(batch := [*islice(readings, BATCH)]) == BATCH:
            packed.append(zlib.compress(_batches().dump_json(batch), 1))
    except (JsonError, XmlError) as error:
        yield _broken(file, error)
        return
    packed.reverse()
    while packed:
        yield from _batches().validate_json(zlib.decompress(packed.pop()))
    yield from batch


@cache
def _batches() -> TypeAdapter[list[Reading]]:
    """Turns readings into JSON and back three times as fast as pickle does."""
    return TypeAdapter(list[Reading])


def _broken(file: str, error: JsonError | XmlError) -> Problem:
    code = "json-invalid" if isinstance(error, JsonError) else "xml-invalid"
    return problem(code, file, error.place, expected=error.expected, found=error.found)
