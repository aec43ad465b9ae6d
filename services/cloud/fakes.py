"""In-memory stand-ins for every port: conditional writes and leases are honoured, and a test can kill at any call.

`on_call` is called with `before:<port>.<call>` and `after:<port>.<call>` around every outside call; an exception raised
there is a process that died at that line.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.cloud.fake_calls import FakeClock, Hook, Hooked, no_hook
from services.cloud.fake_storage import FakeBlobStore, FakeQueue
from services.cloud.fake_workspace import FakeEndpoint, FakeWorkspace
from services.context import Cloud
from services.settings import Settings

__all__ = [
    "Answer",
    "FakeAsyncScorer",
    "FakeBlobStore",
    "FakeClock",
    "FakeCloud",
    "FakeEndpoint",
    "FakeQueue",
    "FakeScorer",
    "FakeWorkspace",
    "Hook",
    "fake_settings",
]

Answer = Callable[[str, bytes], dict[str, object]]


class FakeScorer(Hooked):
    """Answers by a function of slot and image; without one, an answer without boxes."""

    port = "scorer"

    def __init__(self, answer: Answer | None = None, on_call: Hook = no_hook) -> None:
        """`answer` gives Azure ML's object for one image."""
        super().__init__(on_call)
        self.answer = answer or (lambda _slot, _image: {"boxes": []})

    def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        with self._outside("score"):
            return [self.answer(slot, image) for image in images]

    def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        with self._outside("forward"):
            images = json.loads(body)["input_data"]["data"]
            return json.dumps([self.answer(slot, base64.b64decode(image)) for image in images]).encode()


class FakeAsyncScorer:
    """The same for the event loop."""

    def __init__(self, answer: Answer | None = None, on_call: Hook = no_hook) -> None:
        """As `FakeScorer`."""
        self.scorer = FakeScorer(answer, on_call)

    async def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        return self.scorer.score(scoring_uri, slot, images, deadline=deadline)

    async def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        return self.scorer.forward(scoring_uri, slot, body, deadline=deadline)


def fake_settings() -> Settings:
    """Settings that name nothing real."""
    return Settings(
        data_blob_uri="https://data.example",
        system_blob_uri="https://system.example",
        system_queue_uri="https://queue.example",
        subscription_id="00000000-0000-0000-0000-000000000000",
        resource_group="group",
        workspace="workspace",
    )


@dataclass(slots=True)
class FakeCloud:
    """All the fakes, sharing a clock and a hook that can be exchanged at any time."""

    clock: FakeClock = field(default_factory=FakeClock)
    on_call: Hook = no_hook
    data: FakeBlobStore = field(init=False)
    system: FakeBlobStore = field(init=False)
    workspace: FakeWorkspace = field(init=False)
    scorer: FakeScorer = field(init=False)
    wakes: FakeQueue = field(init=False)
    deliveries: FakeQueue = field(init=False)

    def __post_init__(self) -> None:
        """Give every fake the same hook, looked up at each call."""

        def hook(call: str) -> None:
            self.on_call(call)

        self.data, self.system = FakeBlobStore(hook, self.clock), FakeBlobStore(hook, self.clock)
        self.workspace, self.scorer = FakeWorkspace(hook), FakeScorer(on_call=hook)
        self.wakes, self.deliveries = FakeQueue(hook), FakeQueue(hook)

    def cloud(self) -> Cloud:
        """What a controller is given."""
        return Cloud(fake_settings(), self.data, self.system, self.workspace, self.scorer, self.clock)
