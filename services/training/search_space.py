"""Search spaces as people write them in loop.yaml: `uniform(0.001, 0.01)`, `choice(small, medium)`, lists, values.

The distributions and their arguments are Azure ML's:
https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters#define-the-search-space
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from services.distributions import Distribution, DistributionKind
from services.errors import ConfigError

Value = str | int | float | bool
Arguments = tuple[Value, ...]

MOST_CHARACTERS = 500
_CALL = re.compile(r"\s*([A-Za-z]+)\s*\((.*)\)\s*", re.DOTALL)
_ARGUMENT = re.compile(r"""\s*(?:'([^'"()]*)'|"([^'"()]*)"|([A-Za-z0-9_.+-]+))\s*""")
_WORDS: dict[str, bool] = {"true": True, "false": False}


def parse(text: str, place: str = "") -> Distribution:
    """Read one distribution.

    Raises:
        ConfigError: it is none; the detail says where (`place`), what was expected and what was found.
    """
    call = _CALL.fullmatch(text[:MOST_CHARACTERS])
    if call is None or len(text) > MOST_CHARACTERS or call[1].lower() not in _SHAPES:
        raise _wrong(place, f"a distribution, one of {', '.join(_SHAPES)}, with its arguments", text)
    kind = call[1].lower()
    arguments = _arguments(call[2], place, text)
    expected, fits = _SHAPES[kind]
    if not fits(arguments):
        raise _wrong(place, expected, text)
    return Distribution(cast("DistributionKind", kind), arguments)


def read(value: Value | Sequence[Value], place: str = "") -> Distribution:
    """Read a value of a search space: text of a distribution, a list to choose from, or one value.

    Raises:
        ConfigError: as `parse`, and for a list without members.
    """
    if isinstance(value, str):
        return parse(value, place) if "(" in value else Distribution("choice", (value,))
    if isinstance(value, (int, float)):
        return Distribution("choice", (value,))
    if not value:
        raise _wrong(place, "a list of at least one value", "an empty list")
    return Distribution("choice", tuple(value))


def read_space(space: Mapping[str, Value | Sequence[Value]], place: str = "") -> dict[str, Distribution]:
    """Read one parameter space, `{parameter: value}`.

    Raises:
        ConfigError: as `read`; and where a learning rate could leave the range from 0 to 1.
    """
    found = {name: read(value, f"{place}{name}") for name, value in space.items()}
    for name, distribution in found.items():
        if name == "learning_rate" and not all(0 <= bound <= 1 for bound in _bounds(distribution)):
            raise _wrong(f"{place}{name}", _learning_rate(distribution), str(distribution))
    return found


def check_sampling(sampling: str, spaces: Sequence[Mapping[str, Distribution]]) -> None:
    """Check that the sampling can draw from these distributions.

    Raises:
        ConfigError: grid draws from choices only; Bayesian from choice, uniform and quniform.
    """
    drawn = {"grid": {"choice"}, "bayesian": {"choice", "uniform", "quniform"}}.get(sampling)
    for index, space in enumerate(spaces):
        for name, distribution in space.items():
            if drawn is not None and distribution.kind not in drawn:
                expected = f"{' or '.join(sorted(drawn))}, which is what {sampling} sampling draws from"
                raise _wrong(f"search_space.{index}.{name}", expected, str(distribution))


def _arguments(text: str, place: str, whole: str) -> Arguments:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    found = [_ARGUMENT.fullmatch(part) for part in inner.split(",")] if inner.strip() else []
    if not all(found):
        raise _wrong(place, "arguments separated by commas: numbers or words", whole)
    return tuple(_value(match) for match in found if match)


def _value(match: re.Match[str]) -> Value:
    quoted = match[1] if match[1] is not None else match[2]
    if quoted is not None:
        return str(quoted)
    return _WORDS.get(match[3].lower(), _number(match[3]))


def _number(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text) if math.isfinite(float(text)) else text
        except ValueError:
            continue
    return text


def _numbers(arguments: Arguments, count: int) -> bool:
    numeric = [a for a in arguments if isinstance(a, (int, float)) and not isinstance(a, bool)]
    return len(arguments) == count == len(numeric)


def _rising(arguments: Arguments, count: int = 2) -> bool:
    return _numbers(arguments, count) and float(arguments[0]) < float(arguments[1])


def _positive(arguments: Arguments, count: int) -> bool:
    return _numbers(arguments, count) and float(arguments[-1]) > 0


def _stepped(arguments: Arguments) -> bool:
    return _rising(arguments, 3) and _positive(arguments, 3)


def _whole(arguments: Arguments) -> bool:
    return _positive(arguments, 1) and isinstance(arguments[0], int)


_SHAPES: dict[str, tuple[str, Callable[[Arguments], bool]]] = {
    "choice": ("choice(a, b, …) of at least one value", bool),
    "randint": ("randint(upper), a whole number above 0", _whole),
    "uniform": ("uniform(least, most) with least < most", _rising),
    "quniform": (
        "quniform(least, most, step) with least < most, step > 0",
        lambda a: _rising(a, 3) and _positive(a, 3),
    ),
    "loguniform": ("loguniform(least, most), both exponents of e, least < most", _rising),
    "qloguniform": ("qloguniform(least, most, step), exponents of e, least < most, step > 0", _stepped),
    "normal": ("normal(mean, deviation) with deviation > 0", lambda a: _positive(a, 2)),
    "qnormal": (
        "qnormal(mean, deviation, step), both above 0",
        lambda a: _positive(a, 3) and float(a[1]) > 0,
    ),
    "lognormal": ("lognormal(mean, deviation), deviation > 0", lambda a: _positive(a, 2)),
    "qlognormal": (
        "qlognormal(mean, deviation, step), both above 0",
        lambda a: _positive(a, 3) and float(a[1]) > 0,
    ),
}


def _bounds(distribution: Distribution) -> list[float]:
    """Least and most of what can be drawn, where that is known."""
    numbers = [float(a) for a in distribution.arguments if not isinstance(a, str)]
    if distribution.kind == "choice":
        return numbers
    if distribution.kind in ("uniform", "quniform"):
        return numbers[:2]
    if distribution.kind in ("loguniform", "qloguniform"):
        return [math.exp(min(n, 700.0)) for n in numbers[:2]]
    return []


def _learning_rate(distribution: Distribution) -> str:
    if "log" not in distribution.kind:
        return "a learning rate from 0 to 1"
    return "a learning rate from 0 to 1 (loguniform takes exponents of e: loguniform(-9.2, -4.6) is 1e-4 to 1e-2)"


def _wrong(place: str, expected: str, found: str) -> ConfigError:
    shown = found if len(found) <= 80 else f"{found[:77]}..."
    where = f"{place}: " if place else ""
    return ConfigError(f"{where}expected {expected}, found {shown!r}", place=place, expected=expected, found=shown)
