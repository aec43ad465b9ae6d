"""The benchmark of ingestion measures what it says, on a data set that is small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import _ingest_cases as cases
from benchmarks._coco_file import VALIDATION, Shape, bytes_of, jpeg, size_of, write_coco
from services.labels.coco import CocoReader
from services.labels.record import ImageRecord
from tests.support.http_request import forget_app


def test_the_file_is_coco_s(tmp_path: Path) -> None:
    size = write_coco(tmp_path / "x.json", Shape(40, 300))
    found = json.loads((tmp_path / "x.json").read_text())
    assert (len(found["images"]), len(found["annotations"]), len(found["categories"])) == (40, 300, 80)
    assert size == (tmp_path / "x.json").stat().st_size
    readings = list(CocoReader().read("x.json", iter([(tmp_path / "x.json").read_bytes()])))
    assert sum(len(r.labels) for r in readings if isinstance(r, ImageRecord)) == 300


def test_an_image_has_the_size_that_the_file_says() -> None:
    import io

    from PIL import Image

    for number in range(4):
        with Image.open(io.BytesIO(jpeg(number))) as image:
            assert image.size == size_of(number)
        assert bytes_of(number) == len(jpeg(number))
    assert jpeg(4) != jpeg(8)


def test_building_and_one_image_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "TRAINING", Shape(60, 300))
    found = cases.large(tmp_path)
    assert found["wakes"] == 1
    assert 0 < found["one_more_s"] < found["seconds"] + 5


def test_events_cost_a_handful_of_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from services import wiring

    for name in ("waker", "settings"):
        monkeypatch.setattr(wiring, name, getattr(wiring, name))
    forget_app()
    found = cases.events(tmp_path)
    assert (found["events"], found["queue_calls"]) == (10_000, 1)
    assert found["per_second"] > 2000
    assert VALIDATION.boxes == 36_781
