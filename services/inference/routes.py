"""Which slot answers a request: the champion's, or for a share of them the challenger's while a rollout is watched."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from services.errors import NotFound, Upstream, UpstreamRefused
from services.inference.champion import Champions, Live
from services.inference.record import Recorder
from services.state import Champion

T = TypeVar("T")


class Routes:
    """Chooses, counts, and lets the champion answer what a challenger fails."""

    def __init__(
        self, champions: Champions, recorder: Recorder | None = None, dice: Callable[[], float] = random.random
    ) -> None:
        """`dice`, in [0, 1), chooses; without a recorder nothing is counted."""
        self._champions, self._recorder, self._dice = champions, recorder, dice

    def ask(self, loop: str, score: Callable[[Champion], T]) -> tuple[Champion, T]:
        """The model that answered, and its answer.

        Raises:
            VisionloopError: what the champion's slot raises; one that is gone may have been replaced since we looked.
        """
        live = self._champions.live(loop)
        challenger = live.challenger
        if challenger is not None and self._dice() * 100 < live.share:
            try:
                return challenger, self._counted(live, challenger, score)
            except UpstreamRefused:
                raise
            except (Upstream, NotFound):
                live = self._champions.live(loop)  # nobody is to suffer from a challenger
        try:
            return live.champion, self._counted(live, live.champion, score)
        except NotFound:
            live = self._champions.live(loop, fresh=True)
        try:
            return live.champion, self._counted(live, live.champion, score)
        except NotFound as error:
            raise Upstream(error.detail) from None

    def _counted(self, live: Live, model: Champion, score: Callable[[Champion], T]) -> T:
        """What a slot refuses is the image's fault, and counts as answered."""
        started, failed = time.perf_counter(), False
        try:
            return score(model)
        except UpstreamRefused:
            raise
        except (Upstream, NotFound):
            failed = True
            raise
        finally:
            if self._recorder is not None:
                self._recorder.note(live.watching, model.slot, 1000 * (time.perf_counter() - started), failed=failed)
