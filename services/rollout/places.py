"""Where what a rollout measured lies in the system container; apart, as who reads it needs nothing else."""

from __future__ import annotations


def card_blob(loop: str, version: str, kind: str) -> str:
    """The card of a model's version; `kind` is json or md."""
    return f"models/{loop}/{version}/card.{kind}"


def result_blob(loop: str, run: int) -> str:
    """All that was measured of a run's rollout."""
    return f"evaluations/{loop}/run-{run}/result.json"
