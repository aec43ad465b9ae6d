"""The dataset stage through the real storage SDK: ETags, ranges, streams and MD5 are those of a service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from services.cloud.blobs import AzureBlobStore
from services.cloud.fakes import FakeScorer, FakeWorkspace
from services.context import Cloud, LoopContext
from services.datasets.parts import read_parts
from services.datasets.reading import holdout
from services.datasets.stage import DatasetStage
from services.export.exports import Exports
from services.loop_config import LoopConfig, Retention
from services.names import state_blob
from services.settings import read_settings
from services.state import LoopState
from services.state_store import StateStore
from services.wiring import clock
from tests.support.cloud_process import running_cloud
from tests.support.dataset_house import BOX, LOOP, coco, picture, voc
from tests.support.timing import quickest


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), "--no-app") as running:
        settings = read_settings(running.environment)
        data = AzureBlobStore(settings.data_blob_uri, settings.data_container)
        system = AzureBlobStore(settings.system_blob_uri, settings.system_container)
        yield Cloud(settings, data, system, FakeWorkspace(), FakeScorer(), clock)


def looks(cloud: Cloud, state: LoopState) -> LoopContext:
    return LoopContext(cloud, state, lambda _: None, lambda: 100.0)


def settle(context: LoopContext) -> None:
    for _ in range(20):
        wait = DatasetStage().step(context)
        if wait is None:
            return
        time.sleep(wait)
    raise AssertionError("The stage never came to rest")


def test_uploads_become_versions_and_only_changes_are_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(12):
        cloud.data.write(f"{LOOP}/images/{i:02}.PNG", picture(i))
        cloud.data.write(f"{LOOP}/labels/{i:02}.xml", voc((("nut", "bolt")[i % 2], BOX)))
    cloud.data.write(f"{LOOP}/images/a b%20ü.jpg", picture(50, kind="JPEG") + b"\0" * 200_000)
    cloud.data.write(f"{LOOP}/labels/l.json", coco({"a b%20ü.jpg": [("nut", BOX)]}))
    state = LoopState(loop=LOOP, created=clock())
    state.config.config = LoopConfig(quiet_period_seconds=1)
    context = looks(cloud, state)
    settle(context)
    assert (state.catalogue.labelled, state.catalogue.problem_count) == (13, 0)
    assert [(v.status, v.images) for v in state.datasets] == [("registered", 13)]
    images = holdout(cloud.system, state.datasets[0])
    assert len(images) == state.datasets[0].validation_images
    assert all(cloud.data.read(i.blob).data for i in images)

    read: list[str] = []
    for call in ("read", "stream"):
        real = getattr(AzureBlobStore, call)
        monkeypatch.setattr(
            AzureBlobStore, call, lambda s, name, _real=real, **k: (read.append(name), _real(s, name, **k))[1]
        )
    assert quickest(lambda: DatasetStage().step(context), 0.5) < 0.5
    assert DatasetStage().step(context) is None
    assert read == []
    cloud.data.write(f"{LOOP}/labels/03.xml", voc(("washer", BOX)))
    settle(context)
    assert [name for name in read if name.startswith(LOOP)] == [f"{LOOP}/labels/03.xml"]
    assert [v.number for v in state.datasets] == [1, 2]
    found = [b.name for b in cloud.system.list(f"catalogue/{LOOP}/")]
    assert len(found) == 3


def test_parts_are_shared_exports_are_read_by_ranges_and_old_versions_go(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = "shared"
    monkeypatch.setattr("services.catalogue.working.BUCKET_FILES", 5)
    state = LoopState(loop=loop, created=clock())
    state.config.config = LoopConfig(quiet_period_seconds=1, retention=Retention(dataset_versions=1))
    context = looks(cloud, state)
    for burst in (range(12), range(12, 13)):
        for i in burst:
            cloud.data.write(f"{loop}/images/{i:02}.png", picture(i))
            cloud.data.write(f"{loop}/images/{i:02}.xml", voc((("nut", "bolt")[i % 2], BOX)))
        settle(context)
        known = {b.name for b in cloud.system.list(f"datasets/{loop}/parts/")}
    assert [v.number for v in state.datasets] == [2]
    assert {b for part in read_parts(cloud.system, state.datasets[0]) for b in part.blobs} == known
    assert [b.name for b in cloud.system.list(f"datasets/{loop}/1-")] == []
    cloud.system.write(state_blob(loop), state.model_dump_json().encode())
    exports = Exports(StateStore(cloud.system, clock), cloud.system)
    whole = exports.export(loop, "2", "coco", "")
    assert len(json.loads(whole.body)["images"]) == 13
    ranges = [exports.export(loop, "2", "coco", f"bytes={at}-{at + 499}") for at in range(0, len(whole.body), 500)]
    assert b"".join(found.body for found in ranges) == whole.body
    assert {found.status for found in ranges} == {206}


def test_three_hundred_images_unchanged_are_looked_at_in_half_a_second(cloud: Cloud) -> None:
    loop = "many"
    for i in range(300):
        cloud.data.write(f"{loop}/images/{i:03}.png", picture(i))
    state = LoopState(loop=loop, created=clock())
    context = looks(cloud, state)
    DatasetStage().step(context)
    assert state.catalogue.images == 300
    assert quickest(lambda: DatasetStage().step(context), 0.5, time.monotonic) < 0.5


def test_empty_files_lists_of_classes_and_outlines_come_through(cloud: Cloud) -> None:
    loop = "yolo"
    for i in range(12):
        cloud.data.write(f"{loop}/images/train/{i:02}.png", picture(i))
        cloud.data.write(f"{loop}/labels/train/{i:02}.txt", b"1 0.25 0.25 0.75 0.25 0.75 0.75\n" if i else b"")
    cloud.data.write(f"{loop}/data.yaml", b"names: [nut, bolt]")
    state = LoopState(loop=loop, created=clock())
    state.config.config = LoopConfig(quiet_period_seconds=1, task="instance_segmentation")
    settle(looks(cloud, state))
    found = state.catalogue
    assert (found.labelled, found.negatives, found.annotations_per_class) == (12, 1, {"bolt": 11})
    held = [i.annotations for i in holdout(cloud.system, state.datasets[0]) if i.annotations]
    assert {a.polygons for annotations in held for a in annotations} == {((0.25, 0.25, 0.75, 0.25, 0.75, 0.75),)}


def test_a_broken_file_over_a_good_one_unlabels_nothing(cloud: Cloud) -> None:
    loop = "kept"
    good = coco({f"{i:02}.png": [(("nut", "bolt")[i % 2], BOX)] for i in range(12)})
    for i in range(12):
        cloud.data.write(f"{loop}/images/{i:02}.png", picture(i))
    cloud.data.write(f"{loop}/labels/all.json", good)
    state = LoopState(loop=loop, created=clock())
    state.config.config = LoopConfig(quiet_period_seconds=1)
    context = looks(cloud, state)
    settle(context)
    before, read = state.catalogue, next(cloud.data.list(f"{loop}/labels/"))
    cloud.data.write(f"{loop}/labels/all.json", good[:-100])
    settle(context)
    found = state.catalogue
    assert (found.labelled, found.content_hash) == (12, before.content_hash)
    assert [p.code for p in found.problems] == ["json-invalid"]
    assert f"labels of 12 images, from the file of {read.modified:%Y-%m-%d %H:%M:%S} UTC" in found.problems[0].help
    assert read.etag in found.problems[0].help
    cloud.data.delete(f"{loop}/labels/all.json")
    settle(context)
    assert (state.catalogue.labelled, state.catalogue.problem_count) == (0, 0)
