from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure_ml.config import Config
from emulator.azure_ml.faults import Faults, Rule
from emulator.azure_ml.publisher import publish
from emulator.azure_ml.runner import Runner
from emulator.azure_ml.runs import Runs, new_record
from emulator.azure_ml.store import Store
from emulator.azure_ml.tables import Tables


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path, "https://localhost:1", "sub", "group", "ws", [], "secret")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "x.sqlite")
    yield found
    found.close()


@pytest.fixture
def runs(config: Config, store: Store) -> Runs:
    found = Runs(config, store)
    store.put("jobs", "job", new_record({"properties": {"experimentName": "cats", "tags": {"loop": "cats"}}}))
    return found


@pytest.fixture
def runner(config: Config, store: Store, runs: Runs) -> Runner:
    """Not started: these tests call what its threads would."""
    return Runner(config, runs, Tables(config, store), Faults())


def told(store: Store) -> list[tuple[str, str, Any]]:
    events = [event for _, event in store.events()]
    return [(e["type"].rpartition(".")[2], e["data"]["runId"], e["data"].get("runStatus")) for e in events]


def test_every_change_is_told_and_a_success_twice(runs: Runs, store: Store) -> None:
    for status in ("Queued", "Queued", "Running", "Completed", "Failed"):
        runs.move("job", status)
    changed = [("RunStatusChanged", "job", s) for s in ("Queued", "Running", "Completed")]
    assert told(store) == [*changed, ("RunCompleted", "job", None)]
    assert runs.status("job") == "Completed"


def test_a_final_status_stays(runs: Runs) -> None:
    runs.move("job", "Canceled")
    runs.move("job", "Completed")
    runs.note("job", features=[1, 2])
    assert runs.status("job") == "Canceled"
    assert runs.unfinished() == []


def test_trials_are_children_of_the_sweep(runs: Runs, store: Store) -> None:
    runs.add_child("job", "job_HD", {})
    runs.add_child("job_HD", "job_HD_0", {"learning_rate": 0.1})
    runs.add_metrics("job_HD_0", 1, {"map": 0.5})
    runs.add_metrics("job_HD_0", 2, {"map": 0.75})
    runs.move("job_HD_0", "Completed")
    assert runs.children("job") == ["job_HD"]
    assert runs.children("job_HD") == ["job_HD_0"]
    record = runs.get("job_HD_0") or {}
    assert [(s, v) for s, v, _ in record["internal"]["metrics"]["map"]] == [(1, 0.5), (2, 0.75)]
    event = next(e for _, e in store.events() if e["type"].endswith("RunCompleted"))
    assert event["data"]["runProperties"] == {"runTemplate": "automl_child"}
    assert event["data"]["experimentName"] == "cats"


def test_a_trial_that_is_run_again_starts_anew(runs: Runs) -> None:
    runs.add_child("job_HD", "job_HD_0", {"a": 1})
    runs.add_metrics("job_HD_0", 1, {"map": 0.5})
    runs.move("job_HD_0", "Failed", {"code": "SystemError", "message": "cut"})
    runs.add_child("job_HD", "job_HD_0", {"a": 1})
    record = runs.get("job_HD_0") or {}
    assert (record["properties"]["status"], record["internal"]["metrics"]) == ("NotStarted", {})


def test_a_cancelled_job_takes_its_trials_along(runs: Runs, runner: Runner) -> None:
    for parent, name in (("job", "job_HD"), ("job_HD", "job_HD_0"), ("job_HD", "job_HD_1")):
        runs.add_child(parent, name, {})
    runs.move("job_HD_0", "Completed")
    runner.cancels.ask("job")
    statuses = [runs.status(n) for n in ("job", "job_HD", "job_HD_0", "job_HD_1")]
    assert statuses == ["Canceled", "Canceled", "Completed", "Canceled"]


def test_trials_made_after_a_cancellation_are_cancelled_too(runs: Runs, runner: Runner) -> None:
    runner.cancels.ask("job")
    runs.add_child("job", "job_HD", {})
    runner._finish("job", {"best_trial": "job_HD_0"})
    assert (runs.status("job"), runs.status("job_HD")) == ("Canceled", "Canceled")
    assert (runs.get("job") or {})["internal"]["tags"] == {}


@pytest.mark.parametrize("ends", ["Completed", "Failed", "Canceled"])
def test_a_job_that_is_to_be_cancelled_only_ends(runs: Runs, runner: Runner, ends: str) -> None:
    runner._faults.rules.append(Rule(kind="slow_cancel", seconds=3600))
    runs.move("job", "Preparing")
    for _ in range(2):
        runner.cancels.ask("job")
    runs.move("job", "Running")
    assert runs.status("job") == "CancelRequested"
    runs.move("job", ends)
    assert runs.status("job") == ends
    runner.cancels.stop()


def test_the_trainer_s_words_become_records(runs: Runs, runner: Runner) -> None:
    runs.add_child("job_HD", "t", {})
    words = [
        "not json",
        '{"event":"features","done":3,"total":9}',
        '{"event":"trial_started","trial":"t"}',
        '{"event":"epoch","trial":"t","epoch":1,"epochs":2,"metrics":{"map":0.25}}',
        '{"event":"trial_completed","trial":"t","metrics":{"map":0.5},"model":"/x","terminated_early":true}',
        '{"event":"unheard of"}',
    ]
    assert [runner._heard("job", line) for line in words] == [None] * 6
    record = runs.get("t") or {}
    assert (runs.get("job") or {})["internal"]["features"] == [3, 9]
    assert record["properties"]["status"] == "Completed"
    assert (record["internal"]["epochs"], record["internal"]["final"]) == ([1, 2], {"map": 0.5})
    last = runner._heard("job", '{"event":"completed","best_trial":"t","metrics":{"map":0.5}}')
    assert last is not None
    runner._finish("job", last)
    assert (runs.get("job") or {})["internal"]["tags"]["automl_best_child_run_id"] == "t"


def test_state_survives_and_keeps_its_order(tmp_path: Path) -> None:
    first = Store(tmp_path / "y.sqlite")
    for name in ("b", "a", "c"):
        first.put("data", name, {"n": name})
    first.put("data", "b", {"n": "new"})
    first.delete("data", "c")
    first.add_event({"id": "1"})
    first.close()
    again = Store(tmp_path / "y.sqlite")
    assert again.list("data") == [("b", {"n": "new"}), ("a", {"n": "a"})]
    assert again.list("data", "a") == [("a", {"n": "a"})]
    assert again.get("data", "c") is None
    [(number, event)] = again.events()
    again.forget_events([number])
    assert (event, again.events()) == ({"id": "1"}, [])
    again.close()


async def _publish_nothing(config: Config, store: Store) -> None:
    await publish(config, store, Faults())


def test_without_a_topic_nothing_is_published(config: Config, store: Store) -> None:
    import asyncio

    store.add_event({"type": "x", "subject": "y"})
    asyncio.run(_publish_nothing(config, store))
    assert len(store.events()) == 1
