"""What a stage of the controller is given: the loop's state, and the ways to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.cloud.ports.scoring import Scorer
from services.cloud.ports.storage import BlobStore
from services.cloud.ports.workspace import Workspace
from services.loop_config import LoopConfig
from services.settings import Settings
from services.state import Event, LoopState


@dataclass(frozen=True, slots=True)
class Cloud:
    """The outside world of one process; every member can be replaced by a fake."""

    settings: Settings
    data: BlobStore
    system: BlobStore
    workspace: Workspace
    scorer: Scorer
    clock: Callable[[], datetime]


@dataclass(slots=True)
class LoopContext:
    """One loop while its lease is held."""

    cloud: Cloud
    state: LoopState
    store: Callable[[LoopState], None]
    """Writes the state under the lease with If-Match; raises ChangedMeanwhile where the lease was lost."""
    time_left: Callable[[], float]
    """Seconds before this wake has to yield."""

    @property
    def loop(self) -> str:
        return self.state.loop

    @property
    def config(self) -> LoopConfig:
        return self.state.config.config

    @property
    def now(self) -> datetime:
        return self.cloud.clock()

    def save(self) -> None:
        """Make everything changed so far durable: intent before a call, outcome and its events after it."""
        self.store(self.state)

    def tell(self, kind: str, reason: str, **data: Any) -> None:
        """Put an event on the outbox; it becomes durable with the next `save` and is told after it.

        `kind` is without the `visionloop.` prefix, such as `dataset.registered`.
        """
        self.state.sequence += 1
        self.state.outbox.append(
            Event(
                id=f"{self.loop}-{self.state.sequence}",
                source=f"/visionloop/loops/{self.loop}",
                type=f"visionloop.{kind}",
                subject=self.loop,
                time=self.now,
                data={"loop": self.loop, "reason": reason, **data},
            )
        )


class Stage(Protocol):
    """One part of the controller: observe, decide, record intent, act, record."""

    name: str

    def step(self, context: LoopContext) -> float | None:
        """Make at most one step.

        Returns:
            Seconds until this loop should be looked at again (0: a step was made, look again at once), or None
            where only an event or the sweep can bring something new.
        """
        ...
