"""Checks of the data set as a whole, before money is spent on it. Pure: they go by the buckets' summaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.catalogue.documents import Index, Summary
from services.catalogue.twins import count
from services.datasets.splits import NEGATIVE
from services.decisions.register import FEWEST_IMAGES
from services.labels.alike import plain
from services.labels.problems import problem
from services.state import Problem
from services.words import numbered

FEWEST_OF_CLASS = 2
"""One image for each side of the split."""
ADVISED_OF_CLASS = 10
"""Azure ML, "Prepare data for computer vision tasks with automated ML": 10 to 15 images of each class."""
MOST_RATIO = 10
"""Images of the most common class to those of the rarest: a rule of thumb, hence a note."""
MOST_ALIKE = MOST_SUPERSEDED = 20
TOLD = frozenset({"class-names-alike"})
"""What is told to webhooks: it needs a person; the others go away with more labels."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What is known of a loop's data set; `images_per_class` has every class, declared ones without images too."""

    images: int
    labelled: int
    images_per_class: Mapping[str, int]
    twins: Sequence[Sequence[str]] = ()
    """Some of the images that have the same content."""
    twin_count: int = 0
    """Images that have the content of another one, each pair once."""
    superseded: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """By label file, images whose labels are those of other files, and one of these."""


def whole(index: Index, classes: Sequence[str] | None) -> Whole:
    """Add up the buckets; `classes` are those of loop.yaml."""
    summaries = [ref.summary for ref in index.buckets]
    counts = Counter(dict.fromkeys(classes or (), 0))
    for name, sides in ((n, s) for summary in summaries for n, s in summary.sides.items() if n != NEGATIVE):
        counts[name] += sum(sides.values())
    images, labelled = sum(s.images for s in summaries), sum(s.labelled for s in summaries)
    return Whole(images, labelled, counts, tuple(index.twins.values()), count(summaries), _superseded_of(summaries))


def _superseded_of(summaries: Sequence[Summary]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for file, (images, other) in (item for summary in summaries for item in summary.superseded.items()):
        before, first = found.get(file, (0, other))
        found[file] = before + images, min(first, other)
    return found


def lint(found: Whole) -> list[Problem]:
    """Everything that is to be said; nothing of a loop without images."""
    return [p for check in CHECKS for p in check(found)] if found.images else []


def _too_small(found: Whole) -> Iterator[Problem]:
    if found.labelled < FEWEST_IMAGES:
        expected = f"at least {FEWEST_IMAGES} labelled images"
        yield problem("dataset-too-small", "images/", expected=expected, found=found.labelled)


def _few(found: Whole) -> Iterator[Problem]:
    for name, images in sorted(found.images_per_class.items()):
        if images < FEWEST_OF_CLASS:
            expected = f"at least {FEWEST_OF_CLASS} labelled images"
            yield problem("class-too-few-images", "labels/", _class(name), expected=expected, found=images)
        elif images < ADVISED_OF_CLASS:
            expected = f"{ADVISED_OF_CLASS} or more labelled images"
            yield problem("class-few-images", "labels/", _class(name), expected=expected, found=images)


def _imbalance(found: Whole) -> Iterator[Problem]:
    counts = [(images, name) for name, images in found.images_per_class.items() if images >= FEWEST_OF_CLASS]
    (fewest, rare), (most, common) = min(counts, default=(1, "")), max(counts, default=(1, ""))
    if most > MOST_RATIO * fewest:
        expected = f"at most {MOST_RATIO} times as many images of one class as of another"
        told = f"{most} of {common}, {fewest} of {rare}"
        yield problem("class-imbalance", "labels/", _class(rare), expected=expected, found=told)


def _alike(found: Whole) -> Iterator[Problem]:
    groups: dict[str, list[str]] = {}
    for name in sorted(found.images_per_class):
        groups.setdefault(plain(name), []).append(name)
    for names in [g for g in groups.values() if len(g) > 1][:MOST_ALIKE]:
        listed = ", ".join(f"{name!r} ({found.images_per_class[name]} images)" for name in names)
        yield problem("class-names-alike", "labels/", _class(names[0]), expected="one name for a class", found=listed)


def _unlabelled(found: Whole) -> Iterator[Problem]:
    if rest := found.images - found.labelled:
        yield problem("image-unlabelled", "images/", expected="a label", found=f"{rest} of {found.images} without one")


def _twins(found: Whole) -> Iterator[Problem]:
    expected, named = "each picture once", 0
    for first, *others in found.twins:
        named += len(others)
        listed = f"the bytes of {', '.join(others[:3])} are the same"
        yield problem("image-duplicate", first, expected=expected, found=listed)
    if rest := found.twin_count - named:
        yield problem("image-duplicate", "images/", expected=expected, found=f"{rest} more images that are there twice")


def _superseded(found: Whole) -> Iterator[Problem]:
    files = sorted(found.superseded.items(), key=lambda item: (-item[1][0], item[0]))
    for file, (images, other) in files[:MOST_SUPERSEDED]:
        told = f"{numbered(images, 'image')} whose labels are those of other files, such as {other}"
        yield problem("label-superseded", file, expected="one label file about an image", found=told)


def _class(name: str) -> str:
    return f"class {name}"


CHECKS: Sequence[Callable[[Whole], Iterator[Problem]]] = (
    _too_small,
    _few,
    _imbalance,
    _alike,
    _unlabelled,
    _twins,
    _superseded,
)
