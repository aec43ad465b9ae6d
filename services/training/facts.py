"""Gathers what the training policy is asked about: for the stage that acts, and for whoever wants it explained."""

from __future__ import annotations

from datetime import datetime

from services.decisions.train import Facts
from services.errors import ConfigError
from services.state import LoopState
from services.training.job import config_hash


def facts_of(state: LoopState, now: datetime) -> Facts:
    """The facts of a loop; settings that do not fit the task are one of them, not an error."""
    version = state.dataset
    try:
        return Facts(state, config_hash(state.config.config, version) if version else "", now)
    except ConfigError as error:
        return Facts(state, "", now, misfit=error.detail)
