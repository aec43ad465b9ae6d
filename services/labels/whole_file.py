"""Files that count as a whole or not at all: half an upload must not look like deleted labels."""

from __future__ import annotations

from collections.abc import Iterator

from services.labels.json_stream import JsonError
from services.labels.problems import problem
from services.labels.record import Reading
from services.labels.xml_stream import XmlError


def all_or_nothing(file: str, readings: Iterator[Reading]) -> Iterator[Reading]:
    """Everything that is read of a file, or only the problem where it breaks off or is no JSON or XML."""
    found: list[Reading] = []
    try:
        found.extend(readings)
    except (JsonError, XmlError) as error:
        code = "json-invalid" if isinstance(error, JsonError) else "xml-invalid"
        found = [problem(code, file, error.place, expected=error.expected, found=error.found)]
    yield from found
