"""What is known to fail is not submitted, and a dry run submits nothing: both say so once, and cost nothing."""

from __future__ import annotations

from typing import Any

import pytest

from services.datasets.parts import Part, write_parts
from services.errors import Upstream
from services.state import LoopState
from services.training.preflight import SAMPLE
from services.training.stage import TrainingStage
from tests.support.stages import LOOP, World, jsonl, state, version

FOLDER = f"datasets/{LOOP}/1-abc/"
TRAIN = f"{FOLDER}train/train_annotations.jsonl"


def world(first: LoopState | None = None, **training: Any) -> World:
    return World([TrainingStage()], first or state(config={"training": training}, datasets=[version()]))


def said(w: World) -> list[str]:
    return [str(e.data["reason"]) for e in w.events]


def test_a_cluster_that_cannot_be_had_holds_with_the_reason_and_costs_nothing() -> None:
    w = world()
    w.fake.workspace.compute_problems["gpu-cluster"] = "The region offers no machines of size X"
    w.wakes(3)
    assert w.kinds == ["training.held"]
    assert said(w) == ["The region offers no machines of size X"]
    assert w.events[0].data["rule"] == "preflight"
    assert w.fake.workspace.submissions == []
    assert w.fake.workspace.computes == {}
    assert w.state.runs == []


def test_it_is_looked_at_again_and_goes_on_once_it_is_mended() -> None:
    w = world()
    w.fake.workspace.compute_problems["gpu-cluster"] = "No quota"
    w.wake()
    w.fake.workspace.compute_problems.clear()
    w.fake.clock.advance(299)
    w.wake()
    assert w.fake.workspace.submissions == []
    w.fake.clock.advance(2)
    w.wake()
    assert len(w.fake.workspace.submissions) == 1
    assert w.state.preflight is None


def test_another_cluster_in_loop_yaml_is_looked_at_at_once() -> None:
    w = world()
    w.fake.workspace.compute_problems["gpu-cluster"] = "No quota"
    w.wake()
    other = state(config={"training": {"compute": {"name": "small"}}}).config
    w.edit(lambda s: setattr(s, "config", other))
    w.wake()
    assert len(w.fake.workspace.submissions) == 1


@pytest.mark.parametrize("gone", ["train/MLTable", "train/train_annotations.jsonl"])
def test_files_that_are_gone_are_named(gone: str) -> None:
    w = world()
    w.fake.system.delete(FOLDER + gone)
    w.wake()
    assert said(w) == [f"The files of data asset vl-{LOOP}-train:1 are gone from storage: {FOLDER}{gone}"]


def test_a_part_of_a_version_that_is_gone_is_named() -> None:
    w = world()
    parts = [Part(f"{n}", f"datasets/{LOOP}/parts/{n}.jsonl", "", "") for n in range(3)]
    write_parts(w.fake.system, FOLDER, parts)
    for part in parts[:2]:
        w.fake.system.write(part.train, jsonl([(f"{LOOP}/images/laid-out.jpg", [])]))
    w.wake()
    assert said(w) == [f"The files of data asset vl-{LOOP}-train:1 are gone from storage: {parts[2].train}"]


def test_a_data_asset_that_is_gone_is_named() -> None:
    w = world()
    w.fake.workspace.missing_tables.add((f"vl-{LOOP}-validation", "1"))
    w.wake()
    assert said(w)[0].startswith(f"Data asset vl-{LOOP}-validation:1 is not in Azure ML")


def test_images_that_are_gone_are_counted_in_a_sample_over_the_whole_file() -> None:
    w = world()
    names = [f"{LOOP}/images/{n}.jpg" for n in range(100)]
    w.fake.system.write(TRAIN, jsonl([(name, []) for name in names]))
    for name in names[:50]:
        w.fake.data.write(name, b"JPEG")
    w.wake()
    assert said(w) == [f"5 of {SAMPLE} images looked for are gone, such as {LOOP}/images/50.jpg"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    w = world()
    w.fake.workspace.compute_problems["gpu-cluster"] = "No quota"
    w.fake.data.delete(f"{LOOP}/images/laid-out.jpg")
    w.wake()
    assert said(w)[0].startswith("No quota; 1 of 1 images looked for are gone")


def test_azure_that_does_not_answer_is_no_failed_preflight() -> None:
    w = world()

    def refuse(call: str) -> None:
        if call == "before:workspace.compute_problem":
            raise Upstream("500")

    w.fake.on_call = refuse
    w.wake()
    assert w.kinds == ["loop.error"]
    assert w.state.preflight is None
    w.fake.on_call = lambda _: None
    w.wake()
    assert len(w.fake.workspace.submissions) == 1


@pytest.mark.parametrize(
    ("changes", "short"),
    [
        ({"train_images": 5, "validation_images": 4}, "9 of 10 images"),
        ({"validation_images": 0}, "no image for validation"),
        ({"task": "image_classification", "images_per_class": {"bolt": 40}}, "1 of 2 classes with images"),
    ],
)
def test_what_automl_refuses_is_held_even_where_a_person_asks(changes: dict[str, Any], short: str) -> None:
    w = world(state(datasets=[version(**changes)]))
    w.edit(lambda s: setattr(s, "train_now", _order(w)))
    w.wake()
    assert w.fake.workspace.submissions == []
    assert said(w) == [f"Azure ML's AutoML would refuse dataset version 1: {short}"]


def _order(w: World) -> Any:
    return {"at": w.fake.clock(), "by": "Ada"}


def test_a_dry_run_tells_once_what_would_be_submitted_and_submits_nothing() -> None:
    w = world(dry_run=True, parameters={"number_of_epochs": 3})
    w.wakes(4, every=4000)
    assert w.kinds == ["training.dry_run"]
    assert w.fake.workspace.submissions == []
    assert w.fake.workspace.computes == {}
    assert w.state.runs == []
    told = w.events[0].data
    assert told["parameters"]["parameters"] == {"number_of_epochs": 3}
    assert (told["estimated_gpu_hours"], told["estimated_cost"]) == (8.0, pytest.approx(8 * 0.526))
    assert told["reason"].startswith(
        f"Dry run: job {told['job']} on gpu-cluster would be submitted, about 8.00 GPU hours"
    )
    assert w.state.reasons["training"].startswith("Dry run: the job was told instead of submitted")


def test_a_dry_run_tells_anew_of_another_decision_and_the_real_one_submits_the_told_job() -> None:
    w = world(dry_run=True)
    w.wake()
    w.edit(lambda s: s.datasets.append(version(2)))
    w.wakes(2)
    assert w.kinds == ["training.dry_run", "training.dry_run"]
    w.edit(lambda s: setattr(s, "config", state().config))
    w.wake()
    assert w.fake.workspace.submissions == [w.events[1].data["job"]]


def test_a_dry_run_makes_its_preflight() -> None:
    w = world(dry_run=True)
    w.fake.workspace.compute_problems["gpu-cluster"] = "No quota"
    w.wakes(2)
    assert said(w) == ["No quota"]
