"""docs/policy.md is true: every rule in its order, its setting with its default, and the very sentence that it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from services.decisions import register, train
from services.decisions.budget import MACHINES, Machine
from services.decisions.failures import HELP
from services.loop_config import LoopConfig
from services.state import CatalogueState, FailureKind, LoopState, Order, Preflight
from services.training.facts import facts_of
from tests.support.stages import NOW, run, state, version

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text()


def _table(heading: str) -> dict[str, list[str]]:
    """Rows of the first table below a heading, by their first cell."""
    part = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", part.partition("\n\n|")[2].partition("\n\n")[0], re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


REGISTRATION, TRAINING = _table("Registration"), _table("Training")
RUNS = {"retries": {"backoff_seconds": 600}, "cooldown_seconds": 0}


def loop(*versions: Any, runs: Any = (), **training: Any) -> LoopState:
    config = {"training": {"cooldown_seconds": 0, **training}}
    return state(config=config, datasets=versions or [version()], runs=runs)


def failed(**changes: Any) -> LoopState:
    made = loop(**RUNS)
    hashed = facts_of(made, NOW).config_hash
    made.runs.append(run(status="failed", config_hash=hashed, **changes))
    return made


def _spent() -> LoopState:
    spent = run(finished=NOW - timedelta(days=9), started=NOW - timedelta(days=9, hours=3))
    return loop(version(3), runs=[spent], budget={"gpu_hours_per_month": 8})


def _not_ready() -> LoopState:
    made = loop()
    said = "The region offers no machines of size Standard_X: set training.compute.size to another"
    made.preflight = Preflight(key=facts_of(made, NOW).key, at=NOW, problems=[said])
    return made


def _rehearsed() -> LoopState:
    made = loop(dry_run=True)
    made.rehearsed = facts_of(made, NOW).key
    return made


SHORT: dict[str, Any] = {"train_images": 30, "validation_images": 7, "images_per_class": {"bolt": 33, "nut": 4}}
HELD: Mapping[str, Callable[[], LoopState]] = {
    "paused": lambda: state(config={"paused": True}, datasets=[version()]),
    "active": lambda: loop(runs=[run(status="submitted", finished=None)]),
    "no_version": state,
    "config": lambda: loop(parameters={"weighted_loss": 1}),
    "first_threshold": lambda: loop(version(**SHORT), first_threshold={"images": 50}),
    "nothing_new": lambda: loop(version(), version(2, new_since_trained=0), runs=[run()]),
    "retrain_threshold": lambda: loop(version(), version(2, new_since_trained=9), runs=[run()]),
    "class_floor": lambda: loop(version(), version(2, images_per_class={"bolt": 60}), runs=[run()]),
    "minimum": lambda: loop(version(train_images=40, validation_images=0)),
    "never_twice": lambda: failed(failure="user_script", reason="out of memory"),
    "backoff": lambda: failed(
        failure="transient", reason="the node was preempted", finished=NOW - timedelta(minutes=5)
    ),
    "cooldown": lambda: state(datasets=[version(), version(2)], runs=[run(finished=NOW - timedelta(minutes=50))]),
    "daily_cap": lambda: loop(
        version(2), max_jobs_per_day=1, runs=[run(status="failed", intended=NOW - timedelta(hours=1))]
    ),
    "budget": _spent,
    "preflight": _not_ready,
    "dry_run": _rehearsed,
}


def test_every_rule_is_listed_in_its_order() -> None:
    assert list(REGISTRATION) == list(register.RULES)
    assert list(TRAINING) == list(train.RULES)


@pytest.mark.parametrize("rule", train.RULES)
def test_a_training_rule_says_what_the_table_says(rule: str) -> None:
    decision = train.decide(facts_of(HELD[rule](), NOW))
    assert decision.facts["rule"] == rule
    assert f"`{decision.reason}`" == TRAINING[rule][-1].replace("``", "`")


CATALOGUES: Mapping[str, dict[str, Any]] = {
    "paused": {},
    "nothing_labelled": {"labelled": 0, "waiting_labels": 3},
    "nothing_new": {"content_hash": "content-1"},
    "too_few": {"labelled": 7},
    "both_sides": {"validation_images": 0},
    "quiet": {},
}


@pytest.mark.parametrize("rule", register.RULES)
def test_a_registration_rule_says_what_the_table_says(rule: str) -> None:
    made = state(datasets=[version(1, train_images=8, validation_images=2)])
    usual = {"images": 30, "labelled": 20, "train_images": 16, "validation_images": 4, "content_hash": "new"}
    made.catalogue = CatalogueState(**usual | {"last_change": NOW - timedelta(seconds=10)} | CATALOGUES[rule])
    if rule == "paused":
        made.pause = Order(by="Ada", why="new camera", at=NOW)
    decision = register.decide(register.facts_of(made, NOW))
    assert decision.facts["rule"] == rule
    assert f"`{decision.reason}`" == REGISTRATION[rule][-1]


@pytest.mark.parametrize("row", [*REGISTRATION.values(), *TRAINING.values()], ids=[*REGISTRATION, *TRAINING])
def test_each_setting_has_the_default_that_is_told(row: list[str]) -> None:
    setting, default = (cell.strip("`") for cell in row[:2])
    found: Any = LoopConfig().model_dump()
    for name in filter(None, setting.split(".")):
        found = found[name]
    if default:
        assert found == json.loads(default)


def test_every_price_is_listed() -> None:
    rows = re.findall(r"^\| `(Standard_\w+)` \| (\d+) \| ([\d.]+) \|$", GUIDE, re.MULTILINE)
    assert {size.lower(): Machine(int(gpus), float(price)) for size, gpus, price in rows} == MACHINES


def test_every_kind_of_failure_is_listed() -> None:
    part = GUIDE.partition("\n### Failures\n")[2].partition("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(get_args(FailureKind)) == list(HELP)
