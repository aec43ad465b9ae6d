"""Runs the frozen backbone once over every view, and keeps what comes out on disk by the image's content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.azure_ml.training import backbone, views
from emulator.azure_ml.training.job import Canceled, Row

BATCH = 8
Half = NDArray[np.float16]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """A view of an image: the backbone's taps (float16), and boxes and classes in the view."""

    taps: tuple[Half, ...]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


class Extractor:
    """Extracts features through a cache."""

    def __init__(self, cache: Path, threads: int, is_cancelled: Callable[[], bool]) -> None:
        """The ONNX session is made when an image is not in the cache."""
        self._cache, self._threads, self._is_cancelled = cache, threads, is_cancelled
        self._session: Any = None

    def samples(self, rows: Sequence[Row], specs: Sequence[views.ViewSpec], progress: Progress) -> list[list[Sample]]:
        """Samples by row and view.

        Raises:
            UserError: an image cannot be read.
            Canceled: the job was told to end.
        """
        hashes = [views.content_hash(row.image) for row in rows]
        missing = [i for i, name in enumerate(hashes) if not all(self._file(name, s).exists() for s in specs)]
        with ThreadPoolExecutor(2) as pool:
            # images are decoded one batch ahead of the network
            work = [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)]
            ahead = [
                pool.submit(self._pixels, [rows[i] for i in part], [hashes[i] for i in part], specs)
                for part in work[:2]
            ]
            for number, part in enumerate(work):
                if self._is_cancelled():
                    raise Canceled
                batch = ahead[number].result()
                if number + 2 < len(work):
                    following = work[number + 2]
                    names = [hashes[i] for i in following]
                    ahead.append(pool.submit(self._pixels, [rows[i] for i in following], names, specs))
                self._extract(batch, [hashes[i] for i in part], specs)
                progress(min(len(missing), (number + 1) * BATCH), len(missing))
        return [[self._sample(r, n, s) for s in specs] for r, n in zip(rows, hashes, strict=True)]

    def _pixels(self, rows: Sequence[Row], names: Sequence[str], specs: Sequence[views.ViewSpec]) -> NDArray[np.uint8]:
        images = [(views.load(row.image), name) for row, name in zip(rows, names, strict=True)]
        return np.stack([views.pixels(image, spec, name) for image, name in images for spec in specs])

    def _extract(self, batch: NDArray[np.uint8], names: Sequence[str], specs: Sequence[views.ViewSpec]) -> None:
        if self._session is None:
            self._session = backbone.session(backbone.export(self._cache), self._threads)
        files = [self._file(name, spec) for name in names for spec in specs]
        for start in range(0, len(files), BATCH):
            taps = self._session.run(None, {"images": batch[start : start + BATCH]})
            for offset, file in enumerate(files[start : start + BATCH]):
                _write(file, [tap[offset].astype(np.float16) for tap in taps])

    def _file(self, name: str, spec: views.ViewSpec) -> Path:
        return self._cache / name[:2] / f"{name}-{spec.key}.npy"

    def _sample(self, row: Row, name: str, spec: views.ViewSpec) -> Sample:
        flat = np.load(self._file(name, spec))
        boxes, labels = views.boxes_in_view(row, spec, name)
        if not row.boxes:
            labels = np.array(row.labels, dtype=np.int64)
        return Sample(_split(flat, spec.size), boxes, labels)


def _write(file: Path, taps: Sequence[Half]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    with partial.open("wb") as out:
        np.save(out, np.concatenate([tap.ravel() for tap in taps]))
    partial.replace(file)


def _split(flat: Half, size: int) -> tuple[Half, ...]:
    taps, start = [], 0
    for channels, stride in zip(backbone.CHANNELS, backbone.STRIDES, strict=True):
        side = -(-size // stride)
        taps.append(flat[start : start + channels * side * side].reshape(channels, side, side))
        start += channels * side * side
    return tuple(taps)
