"""Expands an AutoML job's search space into trials, with the names that the trainer knows.

Expressions: https://learn.microsoft.com/azure/machine-learning/how-to-auto-train-image-models
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from emulator.azure_ml.errors import user_error

Parameters = dict[str, Any]
_EXPRESSION = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)
_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def snake(name: str) -> str:
    """`learningRate` as `learning_rate`."""
    return _WORD.sub("_", name).lower()


def duration_seconds(text: str | None, default: float) -> float:
    """An ISO 8601 duration without years and months, such as PT1H30M.

    Raises:
        AzureError: it is none.
    """
    if text is None:
        return default
    match = _DURATION.fullmatch(text)
    if match is None or text in {"P", "PT"}:
        raise user_error(f"{text!r} is not a duration")
    return sum(float(part or 0) * size for part, size in zip(match.groups(), (86400, 3600, 60, 1), strict=True))


def fixed_parameters(settings: Parameters) -> Parameters:
    """The model settings of the body; `advancedSettings` is JSON text with more of them.

    Raises:
        AzureError: advancedSettings is not a JSON object.
    """
    found = {snake(name): value for name, value in settings.items() if value is not None}
    text = found.pop("advanced_settings", None) or "{}"
    try:
        more = json.loads(text)
    except ValueError:
        more = None
    if not isinstance(more, dict):
        raise user_error("advancedSettings must be a JSON object as text")
    return {**found, **more}


def arguments(expression: str) -> tuple[str, list[Any]]:
    """The distribution and its arguments.

    Raises:
        AzureError: it is no expression.
    """
    match = _EXPRESSION.fullmatch(expression)
    try:
        if match is None:
            return "choice", [ast.literal_eval(expression)]
        found = ast.literal_eval(f"[{match[2]}]")
    except (ValueError, SyntaxError):
        raise user_error(f"{expression!r} is no parameter expression") from None
    values = found[0] if len(found) == 1 and isinstance(found[0], list | tuple) else found
    return match[1].lower(), list(values)


BAYESIAN = frozenset({"choice", "uniform", "quniform"})
_DRAWS: dict[str, Callable[..., Any]] = {
    "choice": lambda dice, *values: dice.choice(values),
    "uniform": lambda dice, low, high: dice.uniform(low, high),
    "loguniform": lambda dice, low, high: math.exp(dice.uniform(low, high)),
    "normal": lambda dice, mean, deviation: dice.gauss(mean, deviation),
    "lognormal": lambda dice, mean, deviation: dice.lognormvariate(mean, deviation),
    "randint": lambda dice, high: dice.randrange(high),
    "quniform": lambda dice, low, high, q: round(dice.uniform(low, high) / q) * q,
    "qloguniform": lambda dice, low, high, q: round(math.exp(dice.uniform(low, high)) / q) * q,
    "qnormal": lambda dice, mean, deviation, q: round(dice.gauss(mean, deviation) / q) * q,
    "qlognormal": lambda dice, mean, deviation, q: round(dice.lognormvariate(mean, deviation) / q) * q,
}


def _draw(expression: str, dice: random.Random) -> Any:
    kind, values = arguments(expression)
    try:
        return _DRAWS[kind](dice, *values)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        raise user_error(f"{expression!r} is no parameter expression") from None


def _grid(spaces: list[dict[str, str]]) -> Iterator[Parameters]:
    for space in spaces:
        columns = []
        for expression in space.values():
            kind, values = arguments(expression)
            if kind != "choice":
                raise user_error("Grid sampling takes choice() only")
            columns.append(values)
        for row in itertools.product(*columns):
            yield dict(zip(space, row, strict=True))


def _random(spaces: list[dict[str, str]], dice: random.Random) -> Iterator[Parameters]:
    for number in itertools.count():
        space = spaces[number % len(spaces)]
        yield {name: _draw(expression, dice) for name, expression in space.items()}


def _check_bayesian(spaces: list[dict[str, str]]) -> None:
    """https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters#bayesian-sampling."""
    used = {arguments(expression)[0] for space in spaces for expression in space.values()}
    if unfit := sorted(used - BAYESIAN):
        raise user_error(f"Bayesian sampling takes choice, uniform and quniform only, not {', '.join(unfit)}")


def trials(details: dict[str, Any], job: str) -> list[Parameters]:
    """Hyperparameters of each trial; the same job name gives the same ones. Bayesian sampling is random here.

    Raises:
        AzureError: an expression is wrong.
    """
    fixed = fixed_parameters(details.get("modelSettings") or {})
    spaces = [{snake(k): str(v) for k, v in s.items() if v is not None} for s in details.get("searchSpace") or []]
    most = int((details.get("limitSettings") or {}).get("maxTrials") or 1)
    if not spaces:
        return [fixed]
    sampling = str((details.get("sweepSettings") or {}).get("samplingAlgorithm") or "Random").lower()
    if sampling == "bayesian":
        _check_bayesian(spaces)
    drawn = _grid(spaces) if sampling == "grid" else _random(spaces, random.Random(job))
    return [{**fixed, **parameters} for parameters in itertools.islice(drawn, most)]


def early_termination(details: dict[str, Any]) -> dict[str, Any] | None:
    """The policy as the trainer takes it."""
    policy = (details.get("sweepSettings") or {}).get("earlyTermination")
    if not policy:
        return None
    names = {"Bandit": "bandit", "MedianStopping": "median_stopping", "TruncationSelection": "truncation_selection"}
    return {"policy": names[policy["policyType"]], **{snake(k): v for k, v in policy.items() if k != "policyType"}}
