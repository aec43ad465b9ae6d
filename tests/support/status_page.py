"""The status page before real documents, on a port: with a person's hands in the page, and a server that may go away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from services.cloud.fakes import FakeCloud
from services.names import state_blob
from services.problem import problem
from services.state import Event, LoopState
from services.state_store import StateStore
from services.status.documents import Status
from services.status.page import headers_of, page
from services.status.runs import Runs
from services.timeline import Timeline
from services.training.trials import KeptRun, place
from tests.support.small_server import Handler, serving

KEY = "a-function-key"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63f8cfc0f01f0005050102fc5b0b910000000049454e44ae426082"
)


@dataclass
class Site:
    """What is served, and what was asked; `hands` is a script that does in the page what a person would."""

    now: datetime
    fakes: FakeCloud = field(default_factory=FakeCloud)
    address: str = ""
    hands: str = ""
    html: str = ""
    silent_looks: frozenset[int] = frozenset()
    """Looks, counted from one, at which nobody answers."""
    looks: int = 0
    posted: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.fakes.system)
        states = StateStore(self.fakes.system, self.fakes.clock)
        self.status, self.runs = Status(states, self.timeline, lambda: self.now), Runs(states, self.fakes.system)

    def holds(self, states: Sequence[LoopState], events: Sequence[Event] = ()) -> None:
        for state in states:
            self.fakes.system.write(state_blob(state.loop), state.model_dump_json().encode())
        self.timeline.append(list(events))

    def keeps(self, loop: str, run: KeptRun) -> None:
        self.fakes.system.write(place(loop, run.run), run.model_dump_json().encode())

    def page(self) -> str:
        script = f"<script>{self.hands}</script>" if self.hands else ""
        return (self.html or page()).replace("</body>", f"{script}</body>")

    def document(self, path: str) -> object:
        """The JSON that the app would answer."""
        if path == "/api/status":
            return self.status.loops()
        loop, kind = unquote(path.split("/")[3]), path.rpartition("/")[2]
        return self.status.explain(loop, self.now) if kind == "explain" else self.status.loop(loop)


@contextmanager
def status_site(now: datetime) -> Iterator[Site]:
    """A site for as long as the block runs."""
    site = Site(now)

    class Page(Handler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/api/dashboard":
                policy = headers_of(site.page() if site.hands else page())
                self.answer(200, site.page().encode(), {**policy, "content-type": "text/html; charset=utf-8"})
            elif self.headers.get("x-functions-key") != KEY:
                self.answer(401)
            else:
                self.look(path)

        def look(self, path: str) -> None:
            site.looks += path == "/api/status"
            if site.looks in site.silent_looks:
                self.close_connection = True
            elif path.endswith("/plot"):
                _, _, _, loop, _, run, _ = path.split("/")
                self.answer(200, site.runs.plot(loop, run, None).encode(), {"content-type": "image/svg+xml"})
            else:
                self.tell(path)

        def tell(self, path: str) -> None:
            try:
                found = site.document(path)
            except Exception as error:
                code, told, body = problem(error)
                self.answer(code, body, told)
            else:
                self.answer(200, json.dumps(found).encode(), {"content-type": "application/json"})

        def do_POST(self) -> None:
            site.posted.append((self.path, self.body()))
            if "render=png" in self.path:
                return self.answer(200, PIXEL, {"content-type": "image/png"})
            found = {"predictions": [{"label": "ace", "score": 0.94}]}
            return self.answer(200, json.dumps(found).encode(), {"content-type": "application/json"})

    with serving(Page) as address:
        site.address = f"{address}/api/dashboard"
        yield site
