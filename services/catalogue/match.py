"""Which image a label is about.

Images and labels that belong together share a stem. Of several images with that stem the one is meant whose name fits
better (exactly, but for case, by stem alone), then whose folders do, then the one below the label file's own folder,
or below one that it is named by, and for a file about one image the one that it names within. Two that fit alike are
ambiguous. A label file may be named as its image with the image's extension, too: `a.jpg.txt` is about `a.jpg`, unless
there is an `a.jpg.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from services.catalogue.paths import below, stem, without_extension

_WORD = re.compile(r"[_.\s-]+")
_SHELVES = {"images", "labels", "jpegimages", "annotations"}
"""Folders that say nothing of which image is meant: `train/images/1.jpg` and `train/labels/1.txt` are a pair."""


class Matcher:
    """Finds images by the references of label files."""

    def __init__(self, paths: Iterable[str]) -> None:
        """`paths` of images, below the loop's folder."""
        self._by_stem: dict[str, list[str]] = {}
        for path in paths:
            self._by_stem.setdefault(stem(path), []).append(path)

    def find(self, reference: str, *, with_extension: bool, file: str = "", named: str = "") -> list[str]:
        """Every image that fits best: none, one, or several where the reference is ambiguous.

        Args:
            reference: a path or name with its extension, or without a meaningful one (a sidecar's own path).
            with_extension: whether it has one.
            file: a label file about many: `train/_annotations.csv` and `instances_train.json` mean images of `train`.
            named: the image as a label file about one names it within: `1.json` may mean `1.jpg` or `1.png`.
        """
        candidates = self._by_stem.get(stem(reference.replace("\\", "/")), [])
        fitting = _best(reference, candidates, with_extension=with_extension)
        if named and len(fitting) > 1:
            fitting = _best(named, fitting, with_extension=True) or fitting
        return (_near(fitting, file) or fitting) if file and len(fitting) > 1 else fitting


def _best(reference: str, paths: Sequence[str], *, with_extension: bool) -> list[str]:
    """The images that fit best; they all fit alike."""
    fits = [(_fit(reference, path, with_extension=with_extension), path) for path in paths]
    best = max(fit for fit, _ in fits) if fits else (0, 0)
    return [path for fit, path in fits if fit[0] and fit == best]


def _near(paths: Sequence[str], file: str) -> list[str]:
    """The images that lie where the label file does, else in a folder that it is named by: `instances_train.json`."""
    own = _folders(file)
    words = {word.casefold() for word in _WORD.split(without_extension(file.rpartition("/")[2]))}
    below_it = [path for path in paths if own and _folders(path)[: len(own)] == own]
    return below_it or [path for path in paths if any(folder.casefold() in words for folder in _folders(path))]


def _folders(path: str) -> list[str]:
    """The folders below images/ or labels/ that tell images apart, first first."""
    return _parts(below(path))[:0:-1]


def _parts(path: str) -> list[str]:
    """The path's parts that tell images apart, last first."""
    *folders, name = [p for p in path.replace("\\", "/").split("/") if p not in {"", "."}] or [""]
    return [name, *(folder for folder in reversed(folders) if folder.lower() not in _SHELVES)]


def _fit(reference: str, path: str, *, with_extension: bool) -> tuple[int, int]:
    """How well the name fits (0: not at all), and how many folders do, from the last one up."""
    wanted, found = _parts(reference), _parts(below(path))
    name = _fit_of_file(wanted[0], found[0]) if with_extension else _fit_of_sidecar(wanted[0], found[0])
    return name, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(wanted[1:], found[1:], strict=False)))


def _fit_of_file(wanted: str, found: str) -> int:
    whole = _alike(wanted, found)
    return whole + 1 if whole else min(1, _alike(without_extension(wanted), without_extension(found)))


def _fit_of_sidecar(file: str, found: str) -> int:
    """A label file's name without its extension is that of the image without its own, else the image's whole name."""
    wanted = without_extension(file)
    stems = _alike(wanted, without_extension(found))
    return stems + 2 if stems else _alike(wanted, found)


def _alike(one: str, other: str) -> int:
    """2: the same; 1: but for case; 0: not."""
    return 2 if one == other else int(one.casefold() == other.casefold())
