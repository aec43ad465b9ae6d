"""Gathers what the training policy is asked about: for the stage that acts, and for whoever wants it explained."""

from __future__ import annotations

from datetime import datetime

from services.decisions.budget import machine_of
from services.decisions.train_facts import Facts
from services.errors import ConfigError
from services.state import LoopState
from services.training.job import config_hash, pace


def facts_of(state: LoopState, now: datetime, prices: str = "") -> Facts:
    """The facts of a loop, with the price list of the settings; settings that do not fit the task are no error here."""
    version, config = state.dataset, state.config.config
    machine = machine_of(config.training.compute.size, prices)
    if version is None:
        return Facts(state, "", now, machine)
    code = state.catalogue.code_digest
    try:
        return Facts(state, config_hash(config, version, code), now, machine, pace=pace(config, version, code))
    except ConfigError as error:
        return Facts(state, "", now, machine, error.detail)
