"""Files that count as a whole or not at all: half an upload must not look like deleted labels."""

from __future__ import annotations

from collections.abc import Iterator

from services.labels.json_stream import JsonError
from services.labels.problems import problem
from services.labels.record import Reading


def all_or_nothing(file: str, readings: Iterator[Reading]) -> Iterator[Reading]:
    """Everything that is read of a JSON file, or only the problem where it breaks off or is no JSON."""
    found: list[Reading] = []
    try:
        found.extend(readings)
    except JsonError as error:
        found = [problem("json-invalid", file, error.place, expected=error.expected, found=error.found)]
    yield from found
