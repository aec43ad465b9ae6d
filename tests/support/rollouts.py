"""A loop with candidates, an endpoint and slots whose models find so many nuts, over the fakes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from services.errors import NotFound
from services.rollout import trial
from services.rollout.guard import GuardStage
from services.rollout.stage import RolloutStage
from services.state import Champion, LoopState, ModelRef
from tests.support.stages import LOOP, World, jsonl, run, state, version

IMAGES = 10


ENDPOINT = "nuts-endpoint"


CONFIG = {"endpoint": {"name": ENDPOINT}}


TRUTH = {"label": "nut", "topX": 0.1, "topY": 0.1, "bottomX": 0.5, "bottomY": 0.5, "isCrowd": 0}


class Quality:
    """Models that find the nut in so many of the images, whatever slot they are in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.right = {"vl-nuts:1": 8, "vl-nuts:2": 9, "vl-nuts:3": 10}
        self.asked: list[tuple[str, str]] = []
        self.seconds = 0.0
        """What each answer takes."""

    def __call__(self, slot: str, image: bytes) -> dict[str, object]:
        time.sleep(self.seconds)
        there = [e.slots[slot].model for e in self.world.fake.workspace.endpoints.values() if slot in e.slots]
        if not there:
            raise NotFound(f"There is no slot {slot}")
        model = there[0]
        self.asked.append((model, image.decode()))
        number = int(image.decode().rpartition("-")[2])
        box = {k: v for k, v in TRUTH.items() if k.endswith(("X", "Y"))}
        return {"boxes": [{"box": box, "label": "nut", "score": 0.9}] if number < self.right[model] else []}


def candidate(number: int, **changes: Any) -> Any:
    model = ModelRef(name="vl-nuts", version=str(number))
    return run(number, **{"model": model, "rollout": "pending", **changes})


def world(first: LoopState | None = None, config: dict[str, Any] | None = None) -> World:
    made = first or state(config={**CONFIG, **(config or {})}, datasets=[version()], runs=[candidate(1)])
    w = World([RolloutStage(), GuardStage()], made)
    names = [f"{LOOP}/images/{n}.jpg" for n in range(IMAGES)]
    for number, name in enumerate(names):
        w.cloud.data.write(name, f"image-{number}".encode())
    folder = made.datasets[0].folder
    w.cloud.system.write(f"{folder}validation/validation_annotations.jsonl", jsonl([(n, [TRUTH]) for n in names]))
    w.fake.scorer.answer = Quality(w)
    return w


def quality(w: World) -> Quality:
    assert isinstance(w.fake.scorer.answer, Quality)
    return w.fake.scorer.answer


def slots(w: World, endpoint: str = ENDPOINT) -> dict[str, str]:
    return {slot: view.model for slot, view in w.fake.workspace.endpoints[endpoint].slots.items()}


def traffic(w: World, endpoint: str = ENDPOINT) -> dict[str, int]:
    return dict(w.fake.workspace.endpoints[endpoint].view.traffic)


def champion(w: World) -> Champion:
    found = w.state.champion
    assert found is not None
    return found


def settle(w: World, most: int = 60) -> None:
    """Wake until the rollout is over."""
    for _ in range(most):
        w.wakes()
        rollout = w.state.rollout
        if rollout is not None and rollout.step == "done" and not any(r.rollout == "pending" for r in w.state.runs):
            return
    raise AssertionError(f"still in step {w.state.rollout}")


def add(w: World, number: int, **changes: Any) -> None:
    w.edit(lambda s: s.runs.append(candidate(number, **changes)))


def live(config: dict[str, Any] | None = None) -> World:
    """A world with the model of run 1 live on blue."""
    w = world(config=config)
    settle(w)
    assert traffic(w) == {"blue": 100}
    return w


class Broken:
    """The scorer's answer is an error for one slot, for so many calls."""

    def __init__(self, inner: Quality, slot: str, error: Exception, times: int = 10**6, after: int = 0) -> None:
        self.inner, self.slot, self.error, self.times, self.after = inner, slot, error, times, after

    def __call__(self, slot: str, image: bytes) -> dict[str, object]:
        if slot == self.slot:
            self.after -= 1
            if self.after < 0 < self.times:
                self.times -= 1
                raise self.error
        return self.inner(slot, image)


def refuse_traffic(w: World) -> None:
    w.fake.workspace.begin_traffic = lambda endpoint, share: None  # type: ignore[method-assign,assignment]


def _remembered(pure: Callable[..., Any]) -> Callable[..., Any]:
    """The same measurements a thousand times over would take the most of the test's time."""
    known: dict[str, Any] = {}

    def measure(*arguments: Any) -> Any:
        key = repr(arguments)
        if key not in known:
            known[key] = pure(*arguments)
        return known[key]

    return measure


def measure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure each set of answers once in a test."""
    for pure in ("measure", "difference"):
        monkeypatch.setattr(trial, pure, _remembered(getattr(trial, pure)))
