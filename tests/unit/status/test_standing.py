"""Where a loop stands at a glance: the word for each of its situations."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from services.rollout_state import Guard, Repair, Resting, Rollout, RolloutStep
from services.state import LoopState, Order, Problem
from services.status.progress import doing
from services.status.standing import standing
from tests.support.predictions import champion
from tests.support.stages import NOW, World, run, state, version


def rollout(step: RolloutStep, **fields: Any) -> Rollout:
    model = champion().model
    return Rollout(
        run=2, model=model, dataset_version=1, endpoint="e", slot="green", step=step,
        started=NOW, step_started=NOW, **fields,
    )  # fmt: skip


def of(made: LoopState) -> tuple[str, str]:
    found = standing(made, NOW)
    return found["word"], found["tone"]


def live(**fields: Any) -> LoopState:
    made = state(datasets=[version()], runs=[run()])
    for name, value in {"champion": champion(), **fields}.items():
        setattr(made, name, value)
    return made


def waiting() -> LoopState:
    held = run(status="submitted", finished=None)
    held.waiting = "Training run 1 has waited 25 minutes for a machine"
    return state(datasets=[version()], runs=[held])


def wrong() -> LoopState:
    made = live()
    made.config.problems = [Problem(code="config-invalid", file="cards/loop.yaml")]
    return made


def broken() -> LoopState:
    """As the controller leaves it after an error that nobody foresaw."""

    class Failing:
        name = "dataset"

        def step(self, _: object) -> float | None:
            raise ValueError("nobody foresaw this")

    world = World([Failing()], state())
    world.wake()
    return world.state


@pytest.mark.parametrize(
    ("made", "word", "tone"),
    [
        (state(), "Waits for labels", "idle"),
        (state(datasets=[version(status="registering")]), "Registering data", "busy"),
        (state(datasets=[version()], runs=[run(status="submitted", finished=None)]), "Training", "busy"),
        (waiting(), "Waits for a machine", "warn"),
        (live(rollout=rollout("canary")), "Rolling out", "busy"),
        (live(rollout=rollout("approve")), "Waits for your yes", "warn"),
        (live(rollout=rollout("done", outcome="promoted")), "Live", "good"),
        (live(), "Live", "good"),
        (live(resting=Resting(kind="remove", since=NOW, phase="asleep")), "Resting", "idle"),
        (live(guard=Guard(trouble="gone", repair=Repair(trouble="gone", since=NOW))), "Bringing it back", "warn"),
        (live(guard=Guard(trouble="gone")), "Not served", "bad"),
        (live(guard=Guard(trouble="taken")), "Taken over", "bad"),
        (live(guard=Guard(trouble="traffic")), "Traffic was moved", "warn"),
        (live(guard=Guard(trouble="gone"), rollout=rollout("deploy")), "Rolling out", "busy"),
        (live(pause=Order(at=NOW)), "Paused", "warn"),
        (wrong(), "loop.yaml is wrong", "bad"),
        (broken(), "Something failed", "bad"),
        (state(datasets=[version()], runs=[run(status="failed")]), "Training failed", "bad"),
    ],
)
def test_each_situation_has_its_word(made: LoopState, word: str, tone: str) -> None:
    assert of(made) == (word, tone)


def test_labels_that_suffice_while_a_cap_says_no_are_held() -> None:
    made = live()
    made.datasets = [version(), version(2, new_since_trained=90, content_hash="other")]
    assert of(made) == ("Live", "good")
    made.config.config = made.config.config.model_validate({"training": {"budget": {"gpu_hours_per_month": 0}}})
    assert of(made) == ("Held", "warn")


def test_what_answers_meanwhile_is_said_with_what_became_of_a_newer_model() -> None:
    assert standing(state(), NOW)["live"] == "No model is live yet."
    made = live()
    assert standing(made, NOW)["live"] == "The model of run 1 (vl-cards:1) is live and answers predictions."
    made.runs.append(run(number=2, rollout="rolled_back"))
    assert standing(made, NOW)["live"].endswith("answers predictions. The model of run 2 was taken back.")
    made.resting = Resting(kind="remove", since=NOW, phase="asleep")
    assert standing(made, NOW)["live"].startswith("The model of run 1 (vl-cards:1) rests.")
    made.guard = Guard(trouble="gone", reason="Slot blue is gone", repair=Repair(trouble="gone", since=NOW))
    assert "is live, but does not answer (Slot blue is gone)." in standing(made, NOW)["live"]
    made.guard = Guard(trouble="traffic", reason="It goes to prod")
    assert "is live, but not as it was left (It goes to prod)." in standing(made, NOW)["live"]
    made.guard = Guard(trouble="gone", reason="Slot blue is gone", repair=Repair(trouble="gone", since=NOW))
    assert doing(made) == "Bringing the live model back: Slot blue is gone"


@pytest.mark.parametrize("step", get_args(RolloutStep))
def test_each_step_of_a_rollout_is_said_in_words(step: RolloutStep) -> None:
    said = doing(live(rollout=rollout(step))).partition(": ")[2]
    assert len(said) > 10 or step == "done"


def test_what_is_counted_of_a_step_is_said() -> None:
    measured = rollout("evaluate", holdout_images=13, evaluated={"green": 4, "blue": 9})
    assert doing(live(rollout=measured)).endswith("it is measured on the validation images (4 of 13)")
    assert doing(live(rollout=rollout("canary", share=10))).endswith("a share of the predictions goes to it (10 %)")
    assert doing(live(rollout=rollout("canary"))).endswith("goes to it")
