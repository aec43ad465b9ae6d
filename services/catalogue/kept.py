"""A label file that was overwritten by one that cannot be read: what was read of it before counts until it is mended.

So half an upload, or a wrong file under a right name, unlabels nothing. A file that is deleted takes its labels along.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from services.catalogue.documents import LabelEntry, Reading
from services.labels.class_lists import POSE
from services.labels.problems import CODES
from services.state import Problem
from services.words import numbered

KEEPING = "Until it can be read, the reading before counts"
_LIST = "class list"


def is_unreadable(label: LabelEntry) -> bool:
    """Whether nothing could be read of a file, and that is no way to say that there is nothing."""
    if label.images or label.class_list or not label.problems:
        return False
    if label.format == _LIST:
        # labels with key points may come with it, which the names before would turn into outlines
        return not any(p.found.startswith(POSE) for p in label.problems)
    return not label.format or any(CODES[code].severity == "error" for code in label.codes)


def keep(before: LabelEntry, label: LabelEntry, images: int) -> LabelEntry | None:
    """The unreadable file, filed with the reading before, about so many images; None where that does not count.

    A file that itself did not change, but is read otherwise since loop.yaml or the app did, has nothing to keep.
    """
    reading = before.reading
    if reading.etag == label.etag or not (images or before.class_list):
        return None
    first, *others = label.problems
    problems = (_told(first, _what(before, images), reading), *others)
    return replace(label, problems=problems, images=images, class_list=before.class_list, kept=reading)


def _what(before: LabelEntry, images: int) -> str:
    if images:
        return f"labels of {numbered(images, 'image')}"
    return f"{len(before.class_list):,} names of classes"


def _told(found: Problem, what: str, reading: Reading) -> Problem:
    when = datetime.fromtimestamp(reading.modified, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    sentence = f"{KEEPING}: {what}, from the file of {when}, ETag {reading.etag}."
    return found.model_copy(update={"help": f"{found.help} {sentence}"})


def what_is_kept(found: Problem) -> str:
    """The sentence on what still counts of a problem's file; empty where nothing was kept."""
    _, keeping, rest = found.help.partition(KEEPING)
    return keeping + rest
