"""What was found, for people: counts, then every kind of problem once with some of its places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

MOST_SHOWN = 5
MOST_CLASSES = 30
UNTOLD = """not to be told from the labels; say it with --task.
      Where folders are the classes, check the folder that holds them, without label files that are not understood"""
HEADINGS = {
    "error": "Errors: these files or labels would be left out",
    "warning": "Warnings: look at these before you train",
    "note": "Notes: nothing needs to be done",
}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The whole report; `found` is the JSON document of a check."""
    yield from _counts(found)
    for severity, heading in HEADINGS.items():
        listed = [p for p in found["problems"] if p["severity"] == severity]
        if listed:
            yield f"\n{heading}"
            for code, same in groupby(sorted(listed, key=lambda p: str(p["code"])), key=lambda p: str(p["code"])):
                yield from _kind(code, found["by_code"][code], list(same))
    yield f"\n{verdict(found['by_severity'])}"


def _counts(found: Mapping[str, Any]) -> Iterator[str]:
    kinds = {"negatives": "as showing nothing", "waiting_labels": "labels wait for their images"}
    more = [f"{found[name]} {words}" for name, words in kinds.items() if found[name]]
    yield ", ".join([f"{found['images']} images", f"{found['labelled']} labelled", *more])
    yield f"task: {found['task'] or UNTOLD}"
    classes, boxes = found["images_per_class"], found["annotations_per_class"]
    width = max((len(name) for name in classes), default=0)
    for name in list(classes)[:MOST_CLASSES]:
        yield f"  {name:<{width}}  {classes[name]:>7} images  {boxes[name]:>8} labels"
    if len(classes) > MOST_CLASSES:
        yield f"  … and {len(classes) - MOST_CLASSES} classes more"


def _kind(code: str, count: int, listed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"  {code}  ({count})"
    yield f"    {listed[0]['help']}"
    for each in listed[:MOST_SHOWN]:
        where = f"{each['file']}, {each['place']}" if each["place"] else each["file"]
        yield f"      {where}: expected {each['expected']}, found {each['found']}"
    if count > MOST_SHOWN:
        yield f"      … and {count - min(MOST_SHOWN, len(listed))} more"


def verdict(by_severity: Mapping[str, int]) -> str:
    """One sentence."""
    errors, warnings = (_counted(by_severity[name], name) for name in ("error", "warning"))
    return f"{errors[0].upper()}{errors[1:]} and {warnings}."


def _counted(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
