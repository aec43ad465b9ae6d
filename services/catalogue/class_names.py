"""Which class list a label file's numbers are meant by, and the record with names instead of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from services.catalogue.documents import FiledRecord, Summary
from services.catalogue.paths import IMAGES, LABELS
from services.labels.class_lists import ClassList
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel
from services.state import Problem

_BEST = ("data.yaml", "data.yml", "classes.txt", "obj.names")
"""Of several lists in one folder the first of these counts, then the first by name."""


def class_lists(summaries: Iterable[Summary]) -> dict[str, ClassList]:
    """The list that counts in each folder that has one."""
    found: dict[str, tuple[tuple[int, str], ClassList]] = {}
    for path, names in (item for summary in summaries for item in summary.class_lists.items()):
        folder, _, base = path.rpartition("/")
        rank = _BEST.index(base.lower()) if base.lower() in _BEST else len(_BEST), path
        if folder not in found or rank < found[folder][0]:
            found[folder] = rank, names
    return {folder: names for folder, (_, names) in sorted(found.items())}


def class_list_of(file: str, lists: Mapping[str, ClassList]) -> ClassList | None:
    """The list of the nearest folder: the file's own, those above it, then labels/ and images/."""
    return next((lists[folder] for folder in _folders(file) if folder in lists), None)


def _folders(file: str) -> Iterator[str]:
    folder = file
    while folder:
        folder = folder.rpartition("/")[0]
        yield folder
    yield from (LABELS.rstrip("/"), IMAGES.rstrip("/"))


def with_names(filed: FiledRecord, lists: Mapping[str, ClassList]) -> tuple[ImageRecord, list[Problem]]:
    """The record with the names of its classes; what has none yet is kept in the catalogue and told."""
    record = filed.record
    if not record.numbered or not record.labels:
        return record, []
    names = class_list_of(filed.file, lists)
    if names is None:
        expected, found = "data.yaml, classes.txt or obj.names in its folder or one above", "none yet"
        return replace(record, labels=()), [problem("class-names-missing", filed.file, expected=expected, found=found)]
    known = tuple(replace(label, label=names[n]) for label in record.labels if (n := int(label.label)) in names)
    unknown = (label for label in record.labels if int(label.label) not in names)
    return replace(record, labels=known), [_unknown(filed.file, label, names) for label in unknown]


def _unknown(file: str, label: RawLabel, names: ClassList) -> Problem:
    expected = f"one of {len(names)} numbers from {min(names)} to {max(names)}" if names else "a list with names"
    return problem("class-number-unknown", file, label.place, expected=expected, found=label.label)
