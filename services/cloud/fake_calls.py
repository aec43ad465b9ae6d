"""What all fakes share: a hook around every outside call, and a clock that moves only when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

Hook = Callable[[str], None]


def no_hook(_: str) -> None:
    return


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self, start: datetime | None = None) -> None:
        """Start at noon of a fixed day unless told otherwise."""
        self.now = start or datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Hooked:
    port = ""

    def __init__(self, on_call: Hook = no_hook) -> None:
        self.on_call = on_call
        self.calls: list[str] = []
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def _outside(self, call: str) -> Iterator[None]:
        """A call of several threads is whole, as a service's is; what the hook does may be a call of its own."""
        self.on_call(f"before:{self.port}.{call}")
        self.calls.append(call)
        with self._one_at_a_time:
            yield
        self.on_call(f"after:{self.port}.{call}")
