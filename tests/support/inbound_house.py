"""One loop in memory, and the receiving end of what other systems send it."""

from __future__ import annotations

import json
from typing import Any

from services.cloud.fakes import FakeCloud, FakeQueue, fake_settings
from services.inbound.cvat_api import CvatApi
from services.inbound.later import Later
from services.inbound.notes import Notes
from services.inbound.receive import Inbound
from services.inbound.sources import Sources
from services.inbound.work import Worker
from services.names import state_blob
from services.settings import Settings
from services.state_store import StateStore
from services.wake import Waker
from services.webhooks.guard import Guard
from tests.support.predictions import loop_state


class InboundHouse:
    """The loop `cards`, and its sources."""

    def __init__(self, *, allow_local: bool = False, **champion: Any) -> None:
        """`champion` is of the loop's state; names resolve to a public address, so that nothing asks a network."""
        self.cloud, self.queue = FakeCloud(), FakeQueue()
        state = loop_state(**champion)
        self.cloud.system.write(state_blob(state.loop), state.model_dump_json().encode())
        resolve = {} if allow_local else {"resolve": lambda host, port: ["8.8.8.8"]}
        self.guard = Guard(allow_local=allow_local, **resolve)
        self.stores = (self.cloud.data, self.cloud.system)
        states = StateStore(self.cloud.system, self.cloud.clock)
        self.sources = Sources(self.cloud.system, states, self.cloud.clock, self.guard)
        self.inbound = self.end(fake_settings())

    def end(self, settings: Settings) -> Inbound:
        later = Later(self.cloud.system, self.queue)
        return Inbound(self.stores, self.sources, later, settings, self.cloud.clock)

    def worker(self, cvat: CvatApi | None = None) -> Worker:
        waker = Waker(self.cloud.wakes, self.cloud.clock, 1)
        api = cvat or CvatApi(self.guard)
        return Worker(self.stores, self.sources, self.queue, api, waker, self.cloud.clock, dice=lambda: 0.0)

    def work(self, cvat: CvatApi | None = None) -> list[float]:
        """Work on all that is queued now; returns the delays, in seconds, of what is queued then."""
        waiting, self.queue.sent = self.queue.sent, []
        for body, _ in waiting:
            self.worker(cvat).work(body)
        return [delay for _, delay in self.queue.sent]

    def notes(self) -> list[str]:
        """Why something could not be taken, as it is told now."""
        notes = Notes(self.cloud.system)
        return [notes.read(blob.name).reason for blob in notes.list("cards")]

    def bodies(self) -> list[str]:
        """What is kept until it is worked off."""
        return [name for name in self.cloud.system.blobs if "/bodies/" in name]

    def register(self, **asked: Any) -> tuple[str, str]:
        """A new source of the loop: its id and its secret."""
        found = self.sources.register(json.dumps({"loop": "cards", **asked}).encode())
        return str(found["id"]), str(found["secret"])
