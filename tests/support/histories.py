"""Runs a state machine of Hypothesis: what CI looks at is the same each time, `dev.py test --deep` looks at new ones."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


def run_histories(
    machine: type[RuleBasedStateMachine], count: int, steps: int, phases: Sequence[Phase] = (Phase.generate,)
) -> None:
    """Live through so many histories of at most so many steps; without `Phase.shrink` a failing one is as it was found.

    Raises:
        AssertionError: what an invariant or the end of a history does not find as it has to be.
    """
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not DEEP,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
