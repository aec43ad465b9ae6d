"""Limits of time that a defect passes and a busy machine does not fail for good."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ParamSpec

P = ParamSpec("P")
TRIES = 4


class TooSlow(AssertionError):
    """What has to end soon did not, this time."""


def held(took: float, seconds: float) -> None:
    """That it took less than so many seconds."""
    if took >= seconds:
        raise TooSlow(f"{took:.3f} s instead of less than {seconds:.3f} s")


@contextmanager
def within(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """That what is done inside takes less than so many seconds of the clock."""
    began = clock()
    yield
    held(clock() - began, seconds)


def tried_again(test: Callable[P, None]) -> Callable[P, None]:
    """The test, anew where it was only too slow: what others do on the machine spoils one try, a defect all."""

    @functools.wraps(test)
    def tries(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(TRIES - 1):
            with suppress(TooSlow):
                return test(*args, **kwargs)
        return test(*args, **kwargs)

    return tries


def quickest(action: Callable[[], object], enough: float, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the quickest of some tries; the first that takes no longer than `enough` is the last."""
    best = float("inf")
    for _ in range(TRIES):
        began = clock()
        action()
        best = min(best, clock() - began)
        if best <= enough:
            break
    return best
