"""Checks of a loop's training settings that need to know AutoML; reading loop.yaml calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.errors import ConfigError
from services.query import meant
from services.training.parameters import known_metrics, known_parameters
from services.training.search_space import check_sampling, read_space

if TYPE_CHECKING:  # loop_config checks itself with this module
    from services.loop_config import Task
    from services.training_config import Command, Training


INPUTS = ("train", "validation")
_PLACEHOLDER = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def check_training(training: Training, task: Task | None = None) -> None:
    """Check names and values against the task; without a task, against all tasks together.

    Raises:
        ConfigError: with the place below `training`, what was expected and what was found.
    """
    if training.kind == "command":
        check_command(training)
        return
    names = known_parameters(task)
    _check_metric(training.primary_metric, task)
    _check_fixed(training.parameters, names)
    spaces = []
    for index, space in enumerate(training.search_space):
        place = f"search_space.{index}."
        for name in space:
            _check_name(name, names, place)
        spaces.append(read_space(space, place))
    check_sampling(training.sampling, spaces)


def check_command(training: Training) -> Command:
    """Check what a script of the user's own is told; returns that.

    Raises:
        ConfigError: as `check_training` does.
    """
    known = [f"inputs.{name}" for name in INPUTS]
    named = _PLACEHOLDER.findall(training.command.command)
    if odd := [name for name in named if name not in known]:
        raise _wrong("command.command", f"no placeholders but {' and '.join(known)}", odd[0])
    if "inputs.train" not in named:
        raise _wrong("command.command", "${{inputs.train}}, the table to train on", training.command.command)
    for name in ("parameters", "search_space"):
        if getattr(training, name):
            raise _wrong(name, "nothing: they are AutoML's, a script has its own in its command", name)
    return training.command


def _check_metric(metric: str | None, task: Task | None) -> None:
    known = known_metrics(task)
    if metric is not None and metric not in known:
        raise _wrong("primary_metric", f"one of {', '.join(known)}", metric)


def _check_fixed(parameters: Mapping[str, object], names: frozenset[str]) -> None:
    for name, value in parameters.items():
        _check_name(name, names, "parameters.")
        if isinstance(value, list) or (isinstance(value, str) and "(" in value and name != "advanced_settings"):
            raise _wrong(f"parameters.{name}", "one value; what is to be sampled belongs in search_space", str(value))


def _check_name(name: str, names: frozenset[str], place: str) -> None:
    if name not in names:
        raise _wrong(f"{place}{name}", f"a parameter of AutoML{meant(name, names)}", name)


def _wrong(place: str, expected: str, found: str) -> ConfigError:
    return ConfigError(
        f"{place}: expected {expected}, found {found[:80]!r}",
        place=place,
        expected=expected,
        found=found[:80],
    )
