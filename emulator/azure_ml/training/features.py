"""Runs the frozen backbone once over every view, and keeps what comes out on disk by the image's content."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.azure_ml.training import backbone, views
from emulator.azure_ml.training.job import Row

Half = NDArray[np.float16]
Progress = Callable[[int, int], None]
"""Told of images done and in all; may raise to end the work."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A view of an image: the file of its features, and boxes (n, 4) and classes in the view."""

    file: Path
    size: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]

    def taps(self) -> tuple[Half, ...]:
        """The backbone's taps, float16 (channels, side, side); read anew each time, as all may not fit in memory."""
        return _split(np.fromfile(self.file, np.float16), self.size)


class Extractor:
    """Extracts features through a cache."""

    def __init__(self, cache: Path, threads: int) -> None:
        """The ONNX session is made when an image is not in the cache."""
        self._cache, self._threads = cache, threads
        self._session: Any = None

    def samples(self, rows: Sequence[Row], specs: Sequence[views.ViewSpec], progress: Progress) -> list[list[Sample]]:
        """Samples by row and view.

        Raises:
            UserError: an image cannot be read.
        """
        with ThreadPoolExecutor(self._threads) as pool:
            hashes = list(pool.map(lambda row: views.content_hash(row.image), rows))
            missing = {name: row for name, row in zip(hashes, rows, strict=True) if not self._has(name, specs)}
            if missing and self._session is None:
                # one thread an image scales better than several threads in one
                self._session = backbone.session(backbone.export(self._cache), threads=1)
            work = [pool.submit(self._extract, row, name, specs) for name, row in missing.items()]
            try:
                for done, future in enumerate(work, 1):
                    future.result()
                    progress(done, len(work))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        return [[self._sample(r, n, s) for s in specs] for r, n in zip(rows, hashes, strict=True)]

    def _has(self, name: str, specs: Sequence[views.ViewSpec]) -> bool:
        return all(self._file(name, spec).exists() for spec in specs)

    def _extract(self, row: Row, name: str, specs: Sequence[views.ViewSpec]) -> None:
        image = views.load(row.image, specs[0].size)
        for spec in specs:
            if not self._file(name, spec).exists():
                taps = self._session.run(None, {"images": views.pixels(image, spec, name)[None]})
                _write(self._file(name, spec), [tap[0].astype(np.float16) for tap in taps])

    def _file(self, name: str, spec: views.ViewSpec) -> Path:
        return self._cache / name[:2] / f"{name}-{spec.key}.f16"

    def _sample(self, row: Row, name: str, spec: views.ViewSpec) -> Sample:
        boxes, labels = views.boxes_in_view(row, spec, name)
        if not row.boxes:
            labels = np.array(row.labels, dtype=np.int64)
        return Sample(self._file(name, spec), spec.size, boxes, labels)


def _write(file: Path, taps: Sequence[Half]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")  # jobs may share the cache
    np.concatenate([tap.ravel() for tap in taps]).tofile(partial)
    partial.replace(file)


def _split(flat: Half, size: int) -> tuple[Half, ...]:
    taps, start = [], 0
    for channels, stride in zip(backbone.CHANNELS, backbone.STRIDES, strict=True):
        side = -(-size // stride)
        taps.append(flat[start : start + channels * side * side].reshape(channels, side, side))
        start += channels * side * side
    return tuple(taps)
