"""From a bucket's images and records to the images of the dataset, and the reasons why others are not in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from services.catalogue.class_names import with_names
from services.catalogue.documents import MOST_PROBLEMS, Bucket, FiledRecord, ImageEntry, Summary, View
from services.catalogue.images import ImageFacts
from services.catalogue.match import Matcher
from services.catalogue.paths import below, class_folder, kind_of
from services.catalogue.sides import Sides
from services.catalogue.twins import pack
from services.datasets.splits import NEGATIVE
from services.labels.alike import unknown_class
from services.labels.annotation import Annotation
from services.labels.check import Rules, check, without_duplicates
from services.labels.class_lists import ClassList
from services.labels.image_lists import FORMAT
from services.labels.problems import CODES, problem, worst_first
from services.names import digest
from services.state import Problem

_WITH_OBJECTS = {"object_detection", "instance_segmentation"}
"""Tasks for which an image may be a picture of nothing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One image of the dataset."""

    path: str
    content: str
    facts: ImageFacts
    annotations: tuple[Annotation, ...]

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(a.label for a in self.annotations)

    @property
    def label_digest(self) -> str:
        """Equal for equal annotations."""
        return digest(*(repr((a.label, a.box, a.is_crowd, *a.polygons)) for a in self.annotations), length=16)

    @property
    def hash(self) -> int:
        """Of all that a dataset version says of the image."""
        said = f"{self.path}\0{self.content}\0{self.facts.width}\0{self.facts.height}\0{self.label_digest}"
        return int.from_bytes(hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()[:16], "big")


@dataclass(slots=True)
class Resolved:
    """What a bucket comes to."""

    members: list[Member] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    waiting: int = 0
    superseded: dict[str, tuple[int, str]] = field(default_factory=dict)
    """As in the summary."""


def resolve(bucket: Bucket, view: View) -> Resolved:
    """Match, choose and check; pure."""
    found = Resolved()
    found.problems += (e.problem for e in bucket.images.values() if e.problem)
    about = claims(bucket, found)
    if view.rules is None:
        return found
    for path in sorted(bucket.images):
        entry = bucket.images[path]
        filed = about.get(path, [])
        _note_superseded(filed, found.superseded)
        annotations = _annotations(entry, filed, view, found.problems)
        if annotations is not None and entry.facts is not None:
            found.members.append(Member(path, entry.content, entry.facts, annotations))
    return found


def claims(bucket: Bucket, found: Resolved) -> dict[str, list[FiledRecord]]:
    """Records by the image that they are about; those of none or of several are among `found`'s problems."""
    matcher = Matcher(bucket.images)
    about: dict[str, list[FiledRecord]] = {}
    for filed in bucket.records:
        said = {"named": filed.image} if filed.per_image else {"file": filed.file}
        images = matcher.find(_reference(filed), with_extension=not filed.per_image, **said)
        if len(images) == 1:
            about.setdefault(images[0], []).append(filed)
        elif images:
            expected, listed = "one image of that name", ", ".join(images[:3])
            found.problems.append(
                problem("image-ambiguous", filed.file, filed.record.place, expected=expected, found=listed)
            )
        else:
            found.waiting += 1
            expected = f"an image named {_reference(filed)}"
            found.problems.append(
                problem("label-waiting", filed.file, filed.record.place, expected=expected, found="none yet")
            )
    return about


def _reference(filed: FiledRecord) -> str:
    return below(filed.file) if filed.per_image else filed.image


def _annotations(
    entry: ImageEntry, claims: list[FiledRecord], view: View, problems: list[Problem]
) -> tuple[Annotation, ...] | None:
    """The image's annotations; None where it is unlabelled, empty where it is a negative."""
    if view.rules is None or entry.facts is None:
        return None
    if not claims:
        name = class_folder(entry.path) if view.by_folder else ""
        return (Annotation(name),) if name and _welcome(name, entry, view.rules, problems) else None
    chosen = _chosen(claims)
    checked = [(c.file, each) for c in chosen for each in _checked(c, entry.facts, view.rules, view.class_lists)]
    found = list(without_duplicates(checked))
    problems += (f for f in found if isinstance(f, Problem))
    annotations = tuple(f for f in found if isinstance(f, Annotation))
    if annotations:
        return _fitting(entry, chosen[0].file, annotations, view.rules, problems)
    said = any(c.record.labels or c.record.broken for c in chosen) or any(
        f.severity == "error" for f in found if isinstance(f, Problem)
    )
    return None if said or view.rules.task not in _WITH_OBJECTS else ()


def _chosen(claims: list[FiledRecord]) -> list[FiledRecord]:
    """The records that count: those of the newest file."""
    best = max((c.modified, c.per_image, c.file) for c in claims)
    return [c for c in claims if (c.modified, c.per_image, c.file) == best]


def _note_superseded(claims: list[FiledRecord], found: dict[str, tuple[int, str]]) -> None:
    """Count the files that do not count for an image; of those about one image, which may be many, their folders."""
    if len(claims) < 2:
        return
    winner = _chosen(claims)[0].file
    for file, per_image in {(c.file, c.per_image) for c in claims if c.file != winner}:
        folder, _, base = file.rpartition("/")
        name = f"{folder}/*.{base.rpartition('.')[2]}" if per_image else file
        count, first = found.get(name, (0, winner))
        found[name] = count + 1, min(first, winner)


def _checked(
    filed: FiledRecord, facts: ImageFacts, rules: Rules, lists: Mapping[str, ClassList]
) -> Iterator[Annotation | Problem]:
    record, problems = with_names(filed, lists)
    yield from problems
    yield from check(filed.file, record, facts.frame, rules)


def _fitting(
    entry: ImageEntry, file: str, annotations: tuple[Annotation, ...], rules: Rules, problems: list[Problem]
) -> tuple[Annotation, ...] | None:
    if rules.task != "image_classification" or len(annotations) == 1:
        return annotations
    names = ", ".join(a.label for a in annotations)
    problems.append(problem("label-several", file, entry.path, expected="one class", found=names))
    return None


def _welcome(name: str, entry: ImageEntry, rules: Rules, problems: list[Problem]) -> bool:
    if rules.classes is None or name in rules.classes:
        return True
    problems.append(unknown_class(entry.path, "the folder", name, rules.classes))
    return False


def facts_of(bucket: Bucket) -> Summary:
    """The part of a summary that does not depend on the view."""
    folders = Counter(class_folder(path) for path in bucket.images)
    del folders[""]
    classes = [filed.labels - filed.boxes for filed in bucket.records]
    return Summary(
        images=len(bucket.images),
        boxes=sum(filed.boxes for filed in bucket.records),
        classed=sum(count > 0 for count in classes),
        multiclassed=sum(count > 1 for count in classes),
        label_files=sum(kind_of(path, 1) == "label" and e.format != FORMAT for path, e in bucket.labels.items()),
        folders=dict(folders),
        class_lists={path: entry.class_list for path, entry in bucket.labels.items() if entry.class_list},
        contents=pack(entry.content for entry in bucket.images.values() if entry.facts),
    )


def summarise(bucket: Bucket, resolved: Resolved) -> Summary:
    """The summary of a bucket, but for its members' sides."""
    found, members = facts_of(bucket), resolved.members
    found.labelled = len(members)
    found.negatives = sum(not m.annotations for m in members)
    found.annotations = dict(Counter(a.label for m in members for a in m.annotations))
    found.content = f"{sum(m.hash for m in members) % (1 << 128):x}"
    found.waiting, found.superseded = resolved.waiting, resolved.superseded
    _add_problems(found, bucket, resolved)
    return found


def add_sides(found: Summary, members: Iterable[tuple[str, frozenset[str]]], known: Sides) -> None:
    """Complete a summary by its members' contents and classes, once all have a side."""
    sides, totals = Counter[tuple[str, str]](), Counter[str]()
    for content, classes in members:
        its = known[content]
        totals[its] += 1
        sides.update((name, its) for name in classes or {NEGATIVE})
    for (name, side), count in sides.items():
        found.sides.setdefault(name, {})[side] = count
    found.totals = dict(totals)


def _add_problems(found: Summary, bucket: Bucket, resolved: Resolved) -> None:
    files = [label for label in bucket.labels.values() if label.problems]
    codes = Counter(p.code for p in resolved.problems)
    for label in files:
        codes.update(label.codes)
    found.problems = worst_first(
        (p for ps in (*(f.problems for f in files), resolved.problems) for p in ps), MOST_PROBLEMS
    )
    found.codes = dict(codes)
    found.quarantined = sum(count for code, count in codes.items() if CODES[code].severity == "error")
