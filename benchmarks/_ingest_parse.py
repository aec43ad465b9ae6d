"""The case of `dev.py bench ingest` that is only a label file: it imports no more, since its memory is measured."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks._coco_file import TRAINING, chunks, write_coco


def parse(folder: Path) -> dict[str, float]:
    """The large label file alone: every record taken, none kept."""
    from services.labels.coco import CocoReader
    from services.labels.record import ImageRecord

    file = folder / "instances.json"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:  # whose memory is not ours
        size = other.submit(write_coco, file, TRAINING).result()
    started, used = time.perf_counter(), time.process_time()
    readings = CocoReader().read(file.name, chunks(file))
    boxes = sum(len(r.labels) for r in readings if isinstance(r, ImageRecord))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    if boxes != TRAINING.boxes:
        raise RuntimeError(f"{boxes} boxes instead of {TRAINING.boxes}")
    return {"mb": size / 1e6, "seconds": seconds, "cpu_s": used, "boxes": boxes}
