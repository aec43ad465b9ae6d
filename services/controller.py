"""observe → decide → record intent → act → record, for one loop at a time, under its lease."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from services.context import Cloud, LoopContext, Stage
from services.errors import ChangedMeanwhile, LoopBusy, VisionloopError
from services.outbox import Outbox
from services.state import TRIED_AGAIN, UNEXPECTED
from services.state_store import HeldState, StateStore
from services.wake import Waker

BUSY_SECONDS = 3.0
"""A loop that is being looked at is looked at again this much later: what woke us may have come after that look."""
RETRY_SECONDS = 30.0
SKEW = timedelta(seconds=1)
"""The queue's clock and ours may differ: a wake that comes this early is the one that was asked for."""
MOST_STEPS = 200

log = logging.getLogger(__name__)


class Controller:
    """Brings one loop as far as it can get now, and asks to be woken for the rest."""

    def __init__(
        self,
        cloud: Cloud,
        stages: Sequence[Stage],
        waker: Waker,
        outbox: Outbox,
        states: StateStore,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`stages` are stepped in their order; `dice`, in [0, 1), keeps two wakes from meeting again and again."""
        self._dice = dice
        self._cloud, self._stages, self._waker = cloud, stages, waker
        self._outbox, self._states = outbox, states

    def wake(self, loop: str) -> None:
        """Look at a loop; a loop that nobody uploaded to, and that has no state, is nothing."""
        if not self._exists(loop):
            log.info("A wake for %s, which is no loop", loop)
            return
        try:
            with self._states.held(loop) as held:
                self._run(held)
        except (LoopBusy, ChangedMeanwhile):
            self._waker.wake(loop, "the loop was busy", BUSY_SECONDS * (0.5 + self._dice()))

    def _exists(self, loop: str) -> bool:
        if next(self._cloud.system.list(f"state/{loop}.json"), None):
            return True
        return next(self._cloud.data.list(f"{loop}/"), None) is not None

    def _run(self, held: HeldState) -> None:
        ends = time.monotonic() + self._cloud.settings.wake_time_limit_seconds
        context = LoopContext(self._cloud, held.state, held.save, lambda: ends - time.monotonic())
        self._outbox.flush(context)
        wait: float | None = 0.0
        for _ in range(MOST_STEPS):
            wait = self._pass(context, held)
            if wait != 0.0 or context.time_left() <= 0:
                break
        self._ask_again(context, wait)

    def _pass(self, context: LoopContext, held: HeldState) -> float | None:
        waits = [w for w in (self._step(stage, context, held) for stage in self._stages) if w is not None]
        self._outbox.flush(context)
        return min(waits, default=None)

    def _step(self, stage: Stage, context: LoopContext, held: HeldState) -> float | None:
        try:
            wait = stage.step(context)
        except ChangedMeanwhile:
            raise
        except VisionloopError as error:
            return self._failed(stage, context, held, error.detail, _retry_after(error))
        except Exception as error:
            log.exception("Stage %s of loop %s failed", stage.name, context.loop)
            reason = f"{UNEXPECTED}{type(error).__name__}; see the log"
            return self._failed(stage, context, held, reason, RETRY_SECONDS)
        _recovered(stage, context)
        return wait

    def _failed(self, stage: Stage, context: LoopContext, held: HeldState, reason: str, retry: float) -> float:
        """One stage's failure is told once, and does not keep the others from their step."""
        context.state = held.reload()
        text = f"{reason}{TRIED_AGAIN}{retry:.0f} s)"
        if context.state.reasons.get(stage.name) != text:
            log.warning("Stage %s of loop %s: %s", stage.name, context.loop, reason)
            context.state.reasons[stage.name] = text
            context.tell("loop.error", reason, stage=stage.name)
            context.save()
        return retry

    def _ask_again(self, context: LoopContext, wait: float | None) -> None:
        """Keep exactly one wake of our own on the queue, however many woke us.

        The time is stored before the message is sent: a crash between the two leaves a time that passes, and the
        sweep looks then.
        """
        if wait is None:
            return
        state, now = context.state, context.now
        due = now + timedelta(seconds=wait)
        if state.next_wake is not None and now + SKEW < state.next_wake <= due + SKEW:
            return
        state.next_wake = due
        context.save()
        self._waker.schedule(context.loop, "as asked", wait)


def _recovered(stage: Stage, context: LoopContext) -> None:
    """Why a stage failed goes once it does not: else the loop would be called broken for good, and not told anew."""
    if TRIED_AGAIN in context.state.reasons.get(stage.name, ""):
        del context.state.reasons[stage.name]
        context.save()


def _retry_after(error: VisionloopError) -> float:
    asked = error.extra.get("retry_after")
    return max(1.0, float(asked)) if isinstance(asked, int | float) else RETRY_SECONDS
