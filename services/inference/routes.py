"""Which slot answers a request: the champion's, or for a share of them the challenger's while a rollout is watched."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.errors import Conflict, NotFound, Upstream, UpstreamRefused, UpstreamTimeout, UpstreamUnreached
from services.inference.calls import ATTEMPTS, PATIENCE_SECONDS, Calls
from services.inference.champion import Champions, Live
from services.inference.cover import covered
from services.inference.mirror import Mirror
from services.inference.record import Recorder
from services.inference.targets import place, slot_key
from services.state import Champion

T = TypeVar("T")
Score = Callable[[Champion, float], Awaitable[T]]
"""Asks a model, until a time of the monotonic clock."""


class Routes:
    """Chooses, counts, and lets the champion answer what a challenger fails or takes too long for."""

    def __init__(
        self,
        champions: Champions,
        recorder: Recorder | None = None,
        dice: Callable[[], float] = random.random,
        calls: Calls | None = None,
        missed: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`dice`, in [0, 1), chooses for clients that are not known; without a recorder nothing is counted.

        `missed` is told of a loop for whose champion nobody was there to answer.
        """
        self._missed = missed
        self._champions, self._recorder, self._dice = champions, recorder, dice
        self._calls = calls or Calls()
        self._mirror = Mirror()

    async def ask(self, loop: str, score: Score[T], *, client: str = "", ends: float = math.inf) -> tuple[Champion, T]:
        """The model that answered, and its answer; `ends` is on the monotonic clock.

        A known client stays with one slot for as long as the share does not reach it.

        Raises:
            VisionloopError: what the champion's slot raises; one that is gone may have been replaced since we looked.
        """
        live = await self._champions.live(loop)
        challenger = live.challenger
        if challenger is not None and self._place(client, f"{loop}/{challenger.run}") * 100 < live.share:
            return await self._tried(loop, live, challenger, score, ends)
        return await self._champions_answer(loop, live, score, ends)

    async def _tried(
        self, loop: str, live: Live, challenger: Champion, score: Score[T], ends: float
    ) -> tuple[Champion, T]:
        """The challenger's answer; nobody is to suffer from one that fails, nor from one that hangs.

        Half of the time that there is, and no more than tells something of a slot, it has alone. Then the champion is
        asked too, while the challenger goes on: where both need most of the deadline, both are in time.
        """
        began = time.monotonic()

        async def first() -> tuple[Champion, T]:
            return challenger, await self._counted(live, challenger, score, ends, attempts=1)

        async def second() -> tuple[Champion, T]:
            return await self._champions_answer(loop, await self._champions.live(loop), score, ends)

        def overtaken() -> None:
            seconds = time.monotonic() - began
            self._note(live, challenger, seconds, failed=True)
            self._calls.given_up(slot_key(challenger), seconds)

        return await covered(first(), second, min(PATIENCE_SECONDS, (ends - began) / 2), _is_failure, overtaken)

    async def _champions_answer(self, loop: str, live: Live, score: Score[T], ends: float) -> tuple[Champion, T]:
        seconds = ends - time.monotonic()
        try:
            answered = await self._counted(live, live.champion, score, ends)
        except NotFound:
            live = await self._champions.live(loop, fresh=True)
        except UpstreamUnreached:
            self._missed(loop)
            raise
        else:
            self._copy(live, score, seconds)
            return live.champion, answered
        try:
            return live.champion, await self._counted(live, live.champion, score, ends)
        except NotFound as error:
            self._missed(loop)
            raise Upstream(error.detail) from None

    def _copy(self, live: Live, score: Score[T], seconds: float) -> None:
        """The same request to a challenger that is mirrored to, after the user has the answer, and for as long."""
        other = live.challenger
        if other is not None and self._dice() * 100 < live.mirror:
            self._mirror.send(lambda: self._counted(live, other, score, time.monotonic() + seconds, attempts=1))

    async def ask_one(
        self, loop: str, slot: str, version: str, score: Score[T], *, ends: float = math.inf
    ) -> tuple[Champion, T]:
        """Ask the model in a slot, or of a version, that the caller names, and no other; nothing is counted.

        Raises:
            VisionloopError: what `Champions.explicit` or the slot raises.
        """
        model = await self._champions.explicit(loop, slot, version)
        return model, await self._calls.run(slot_key(model), ends, lambda: score(model, ends))

    def _place(self, client: str, salt: str) -> float:
        return place(client, salt) if client else self._dice()

    async def _counted(
        self,
        live: Live,
        model: Champion,
        score: Score[T],
        ends: float,
        *,
        attempts: int = ATTEMPTS,
    ) -> T:
        """What a slot refuses is the image's fault, and counts as answered; what is cancelled or too late does not."""
        if time.monotonic() >= ends:
            raise UpstreamTimeout("The deadline passed before the slot was asked")
        started = time.monotonic()
        try:
            answer = await self._calls.run(slot_key(model), ends, lambda: score(model, ends), attempts=attempts)
        except Exception as error:
            self._note(live, model, time.monotonic() - started, failed=_is_failure(error))
            raise
        self._note(live, model, time.monotonic() - started, failed=False)
        return answer

    def _note(self, live: Live, model: Champion, seconds: float, *, failed: bool) -> None:
        if self._recorder is not None and live.watching:
            self._recorder.note(live.watching, model.slot, 1000 * seconds, failed=failed)


def _is_failure(error: BaseException) -> bool:
    """Whether it is the slot's: what it refuses is the image's fault."""
    return isinstance(error, Upstream | NotFound | Conflict) and not isinstance(error, UpstreamRefused)
