"""Asks slots within a deadline: repeats what may pass by, spares a slot that is down.

Repeated are 429, 502, 503 and connections that were not made or broke before an answer; never what may have cost the
slot its work (a time-out, an error of the model), nor what would be refused again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.errors import SlotResting, Upstream, UpstreamBusy, UpstreamTimeout, UpstreamUnreached, VisionloopError
from services.inference.breaker import Breaker
from services.inference.budget import Budget

ATTEMPTS = 3
FIRST_WAIT = 0.05
PATIENCE_SECONDS = 10.0
"""A time-out says something about the slot only where it had this long: callers may be in more of a hurry.

Whatever a slot answers, it is not down.
"""

T = TypeVar("T")


def wait_before(error: VisionloopError, attempt: int, dice: float) -> float | None:
    """Seconds until the next attempt; None where there is none. `dice` from 0 to 1 keeps clients apart."""
    if attempt >= ATTEMPTS or isinstance(error, SlotResting) or not isinstance(error, UpstreamBusy | UpstreamUnreached):
        return None
    asked = error.extra.get("retry_after")
    backoff: float = FIRST_WAIT * 2 ** (attempt - 1) * (0.5 + dice)
    return max(backoff, float(asked)) if isinstance(asked, int | float) else backoff


class Calls:
    """Keeps a breaker for each slot, and one budget."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`clock` in seconds, never backwards."""
        self._clock, self._sleep, self._dice = clock, sleep, dice
        self._budget = Budget()
        self._breakers: dict[str, Breaker] = {}

    async def run(self, slot: str, ends: float, call: Callable[[], Awaitable[T]], *, attempts: int = ATTEMPTS) -> T:
        """Call until it succeeds, may not be repeated, or `ends` (of the clock) would pass.

        Raises:
            SlotResting: the slot failed too often to be asked now.
            UpstreamTimeout: the deadline passed before the slot was asked.
            VisionloopError: what the last call raised.
        """
        breaker = self._breaker(slot)
        self._budget.earn()
        attempt = 1
        while True:
            try:
                return await self._once(breaker, slot, ends, call)
            except Upstream as error:
                wait = wait_before(error, attempt, self._dice()) if attempt < attempts else None
                if wait is None or self._clock() + wait >= ends or not self._budget.spend():
                    raise
            await self._sleep(wait)
            attempt += 1

    def given_up(self, slot: str, seconds: float) -> None:
        """A call was cancelled after so long, as somebody else had the answer: for the slot this is a time-out."""
        if seconds >= PATIENCE_SECONDS:
            self._breaker(slot).done(failed=True)

    def _breaker(self, slot: str) -> Breaker:
        return self._breakers.get(slot) or self._breakers.setdefault(slot, Breaker(self._clock))

    async def _once(self, breaker: Breaker, slot: str, ends: float, call: Callable[[], Awaitable[T]]) -> T:
        """A call that is cancelled says nothing of the slot."""
        began = self._clock()
        if began >= ends:
            raise UpstreamTimeout("The deadline passed before the slot was asked")
        if (rest := breaker.enter()) > 0:
            name = slot.rpartition(" ")[2]
            raise SlotResting(f"Slot {name} failed repeatedly; it is tried again in {rest:.1f} s", retry_after=rest)
        try:
            answer = await call()
        except UpstreamTimeout:
            if ends - began >= PATIENCE_SECONDS:
                breaker.done(failed=True)
            raise
        except Exception as error:
            breaker.done(failed=isinstance(error, UpstreamUnreached))
            raise
        breaker.done(failed=False)
        return answer
