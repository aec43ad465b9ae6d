"""The dataset stage: uploads in, registered versions out, however often it is looked at."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from services.cloud.ports.training import TableAsset
from services.datasets.parts import SIDES, files_of
from services.datasets.reading import holdout
from services.errors import UpstreamBusy
from services.state import LoopState, TrainingRun
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc
from tests.support.stages import Killed


def test_a_version_is_registered_after_the_quiet_period() -> None:
    house = House()
    house.labelled(20)
    assert house.step() == 60.0
    assert house.state.datasets == []
    house.fakes.clock.advance(60)
    assert house.step() == 0.0
    version = house.state.dataset
    assert version is not None
    assert (version.number, version.train_images, version.validation_images) == (1, 16, 4)
    assert version.images_per_class == {"bolt": 10, "nut": 10}
    assert version.folder == f"datasets/{LOOP}/1-{version.content_hash[:12]}/"
    assert house.fakes.workspace.tables.keys() == {(f"{LOOP}-train", "1"), (f"{LOOP}-validation", "1")}
    assert house.fakes.workspace.tables[f"{LOOP}-train", "1"].folder == f"{version.folder}train"
    assert house.kinds() == ["task.inferred", "dataset.registered"]
    told = house.told[1].data
    assert (told["number"], told["train_images"], told["new_since_trained"], told["problems"]) == (1, 16, 20, 0)
    assert house.step() is None
    assert house.state.reasons["dataset"] == "Version 1 holds all 20 labelled images"
    assert (house.state.catalogue.first_change, house.state.catalogue.last_change) == (None, None)


def test_the_files_are_what_automl_reads() -> None:
    import yaml

    house = House()
    house.labelled(20)
    house.put("images/none.png", picture(77))
    house.put("images/none.xml", voc())
    version = house.settle().datasets[0]
    for side in SIDES:
        table = yaml.safe_load(house.fakes.system.blobs[f"{version.folder}{side}/MLTable"].data)
        base = "azureml://subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/group/workspaces/workspace/datastores/visionloop_system/paths/"
        assert table["paths"] == [{"file": base + f} for f in files_of(house.fakes.system, version, side)]
        assert [next(iter(t)) for t in table["transformations"]] == ["read_json_lines", "convert_column_types"]
    lines = house.lines("train") + house.lines("validation")
    assert len({line["image_url"] for line in lines}) == 21
    by_name = {line["image_url"].rpartition("/")[2]: line for line in lines}
    corners = {"topX": 0.125, "topY": 0.125, "bottomX": 0.5, "bottomY": 0.5}
    assert by_name["000.png"]["label"] == [{"label": "nut", **corners, "isCrowd": 0}]
    assert by_name["000.png"]["image_details"] == {"format": "png", "width": 64, "height": 48}
    assert by_name["none.png"]["label"] == []
    about = json.loads(house.fakes.system.blobs[f"{version.folder}version.json"].data)
    assert (about["number"], about["content_hash"]) == (1, version.content_hash)
    images = holdout(house.fakes.system, version)
    assert len(images) == version.validation_images
    assert all(i.blob in house.fakes.data.blobs and (i.width, i.height) == (64, 48) for i in images)


def test_a_burst_makes_one_version_however_often_it_is_looked_at() -> None:
    house = House()
    for i in range(30):
        house.labelled(1, start=i)
        house.step()
        house.fakes.clock.advance(5)
    house.settle()
    assert [v.number for v in house.state.datasets] == [1]
    assert house.state.datasets[0].images == 30


def test_uploads_without_end_make_a_version_at_the_maximum_wait() -> None:
    house = House()
    house.configure(quiet_period_seconds=60, max_wait_seconds=300)
    start = house.fakes.clock()
    for i in range(30):
        house.labelled(1, start=i)
        house.step()
        house.fakes.clock.advance(30)
    made = [v.created - start for v in house.state.datasets]
    assert made == [timedelta(seconds=300), timedelta(seconds=630)]


def test_a_burst_long_after_too_few_images_is_waited_for() -> None:
    house = House()
    house.labelled(5)
    house.settle()
    house.fakes.clock.advance(86_400)
    for i in range(5, 30, 5):
        house.labelled(5, start=i)
        house.step()
        house.fakes.clock.advance(20)
    house.settle()
    assert [v.images for v in house.state.datasets] == [30]


def test_an_old_upload_whose_event_was_lost_waits_no_more() -> None:
    house = House()
    house.labelled(20)
    house.fakes.clock.advance(600)
    assert house.step() == 0.0
    assert house.state.dataset is not None


@pytest.mark.parametrize("skew", [-86_400, -300, 300, 86_400])
def test_a_storage_clock_that_differs_changes_nothing(skew: float) -> None:
    house = House()
    house.fakes.data.clock = house.fakes.system.clock = lambda: house.fakes.clock.now + timedelta(seconds=skew)
    for i in range(12):
        house.labelled(1, start=i)
        house.step()
        house.fakes.clock.advance(20)
    house.settle()
    assert [v.images for v in house.state.datasets] == [12]


def test_the_same_content_never_makes_a_second_version() -> None:
    house = House()
    house.labelled(12)
    house.settle()
    house.labelled(12)
    house.put("images/unlabelled.png", picture(200))
    house.fakes.clock.advance(3600)
    state = house.settle()
    assert len(state.datasets) == 1
    assert house.kinds().count("dataset.registered") == 1


def test_content_that_returns_makes_its_version_current_again() -> None:
    house = House()
    house.labelled(12)
    house.settle()
    house.labelled(1, start=12)
    assert house.settle().datasets[-1].number == 2
    house.remove("images/012.png")
    house.remove("images/012.xml")
    state = house.settle()
    assert [v.number for v in state.datasets] == [2, 1]
    assert house.kinds().count("dataset.registered") == 2
    house.labelled(2, start=20)
    assert [v.number for v in house.settle().datasets] == [2, 1, 3]


def test_a_relabelled_image_makes_a_version_and_counts_as_new() -> None:
    house = House()
    house.labelled(12)
    house.settle()

    def train(state: LoopState) -> None:
        run = TrainingRun(number=1, job="j", dataset_version=1, config_hash="c", intended=house.fakes.clock())
        state.runs.append(run)

    house.change_state(train)
    house.put("images/003.xml", voc(("nut", BOX), ("bolt", (1, 1, 9, 9))))
    house.put("images/renamed.png", picture(4))
    house.put("images/renamed.xml", house.fakes.data.blobs[f"{LOOP}/images/004.xml"].data)
    house.remove("images/004.png")
    house.remove("images/004.xml")
    house.labelled(1, start=30)
    assert house.settle().datasets[-1].new_since_trained == 2


def test_a_failed_run_was_no_training() -> None:
    house = House()
    house.labelled(12)
    house.settle()

    def fail(state: LoopState) -> None:
        now = house.fakes.clock()
        state.runs.append(
            TrainingRun(number=1, job="j", dataset_version=1, config_hash="c", status="failed", intended=now)
        )

    house.change_state(fail)
    house.labelled(1, start=12)
    assert house.settle().datasets[-1].new_since_trained == 13


def test_less_than_automl_takes_is_told() -> None:
    house = House()
    house.labelled(9)
    assert house.settle().reasons["dataset"] == "9 of 10 labelled images that AutoML asks for"
    alone = House()
    alone.labelled(10, names=[f"class {i}" for i in range(10)])
    assert "at least one class needs two" in alone.settle().reasons["dataset"]


def test_the_task_is_told_once_and_again_where_it_changes() -> None:
    house = House()
    for i in range(12):
        house.put(f"images/{'ab'[i % 2]}{i}/../x.png", b"")
        house.put(f"images/{'can' if i % 2 else 'box'}/{i}.png", picture(i))
    house.settle()
    house.put("labels/l.json", coco({f"{'can' if i % 2 else 'box'}/{i}.png": [("nut", BOX)] for i in range(12)}))
    house.settle()
    house.labelled(3, start=50)
    house.settle()
    told = [e.data["task"] for e in house.told if e.type == "visionloop.task.inferred"]
    assert told == ["image_classification", "object_detection"]
    given_task = House()
    given_task.configure(task="object_detection")
    given_task.labelled(12)
    given_task.settle()
    assert given_task.kinds() == ["dataset.registered"]


def test_a_number_that_is_taken_in_azure_is_stepped_over() -> None:
    house = House()
    house.fakes.workspace.register_table(TableAsset(f"{LOOP}-validation", "1", "datasets/somebody/else"))
    house.labelled(12)
    version = house.settle().datasets[0]
    assert (version.number, version.status, version.train_asset) == (2, "registered", f"{LOOP}-train:2")
    assert version.folder.startswith(f"datasets/{LOOP}/2-")
    assert len(holdout(house.fakes.system, version)) == version.validation_images


def test_a_failing_workspace_leaves_the_intent_and_the_next_step_finishes() -> None:
    house = House()
    house.labelled(12)
    house.step()
    house.fakes.clock.advance(60)

    def busy(call: str) -> None:
        if call == "before:workspace.register_table":
            raise UpstreamBusy("busy")

    house.fakes.on_call = busy
    with pytest.raises(UpstreamBusy):
        house.step()
    house.fakes.on_call = lambda _: None
    house.labelled(3, start=40)
    assert [v.status for v in house.state.datasets] == ["registering"]
    house.step()
    assert [(v.status, v.images) for v in house.state.datasets] == [("registered", 12)]


def test_a_lost_catalogue_is_read_again_and_no_image_changes_sides() -> None:
    house = House()
    house.labelled(15)
    house.settle()
    sides = {line["image_url"]: side for side in ("train", "validation") for line in house.lines(side)}
    for name in [n for n in house.fakes.system.blobs if n.startswith("catalogue/")]:
        house.fakes.system.delete(name)
    house.labelled(40, start=15)
    house.settle()
    after = {line["image_url"]: side for side in ("train", "validation") for line in house.lines(side)}
    assert {url: after[url] for url in sides} == sides
    assert len(after) == 55


def test_a_catalogue_lost_before_an_intended_version_is_finished_is_decided_anew() -> None:
    house = House()
    house.labelled(12)
    house.step()
    house.fakes.clock.advance(60)

    def kill(call: str) -> None:
        if call == "before:workspace.register_table":
            raise Killed

    house.fakes.on_call = kill
    with pytest.raises(Killed):
        house.step()
    house.fakes.on_call = lambda _: None
    for name in [n for n in house.fakes.system.blobs if n.startswith("catalogue/")]:
        house.fakes.system.delete(name)
    assert [(v.number, v.status) for v in house.settle().datasets] == [(1, "registered")]
