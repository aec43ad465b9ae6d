"""The product's own app over fakes, with every effect noted in a file: for a host or a worker that indexes a folder."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services import wiring
from services.access.console import KeyConsole
from services.access.door import Door
from services.access.keys import Keys
from services.access.meter import Meter
from services.access.ring import Ring
from services.access.usage import Usage
from services.approvals import Approvals
from services.cloud.fakes import FakeAsyncScorer, FakeCloud, FakeQueue, fake_settings
from services.commands import Commands
from services.controls import Controls
from services.datasets.documents import Datasets
from services.export.exports import Exports
from services.inbound.later import Later as InboundLater
from services.inbound.push import Push
from services.inbound.receive import Inbound
from services.inbound.sources import Sources
from services.inference.champion import Champions
from services.inference.gate import Gate
from services.inference.later import Later
from services.inference.open_inference import OpenInference
from services.inference.predict import Predictor
from services.names import state_blob
from services.rollout_controls import RolloutControls
from services.state_store import StateStore
from services.status.cards import Cards
from services.status.documents import Status
from services.status.problems import ProblemReports
from services.status.runs import Runs
from services.timeline import Timeline
from services.wake import Waker
from services.webhooks.console import Console
from services.webhooks.dispatch import Dispatcher
from services.webhooks.guard import Guard
from services.webhooks.handshake import Handshake
from services.webhooks.log import LogRetention
from services.webhooks.receiver import Answer
from services.webhooks.registry import Registry
from services.webhooks.replay import Replay
from tests.support.predictions import loop_state

ROOT = Path(__file__).resolve().parents[2]
SCORED: dict[str, object] = {
    "boxes": [{"label": "ace", "score": 0.9, "box": {"topX": 0.1, "topY": 0.2, "bottomX": 0.5, "bottomY": 0.6}}]
}


class Noting:
    """Stands in for a service: every call of it is a line in the file of effects."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __getattr__(self, method: str) -> Callable[..., None]:
        def note(*arguments: object) -> None:
            line = json.dumps([f"{self._service}.{method}", *arguments])
            with Path(os.environ["VISIONLOOP_TEST_EFFECTS"]).open("a", encoding="utf-8") as file:
                file.write(line + "\n")

        return note


def wire() -> FakeCloud:
    """Replace what the triggers ask the wiring for; what is returned lies behind it."""
    fakes = FakeCloud()
    live, waiting = loop_state(), loop_state(live=False).model_copy(update={"loop": "fruit"})
    for state in (live, waiting):
        fakes.system.write(state_blob(state.loop), state.model_dump_json().encode())

    def read(name: str, etag: str) -> tuple[int, str, bytes]:
        found = fakes.system.blobs.get(name)
        return (200, found.etag, found.data) if found else (404, "", b"")

    champions = Champions(read)
    predictor = Predictor(champions, FakeAsyncScorer(lambda slot, image: SCORED), fake_settings())
    guard = Guard(allow_local=False, resolve=lambda host, port: ["8.8.8.8"])
    registry = Registry(fakes.system, fakes.clock, guard)
    handshake = Handshake(lambda *_: Answer(0, "no answer: nobody is there"), "app.example")
    console = Console(fakes.system, registry, Dispatcher(registry, fakes.deliveries), fakes.clock, handshake)
    states = StateStore(fakes.system, fakes.clock)
    status = Status(states, Timeline(fakes.system), fakes.clock)
    commands, waker = Commands(fakes.system), Waker(fakes.wakes, fakes.clock, 1)
    hooks = (registry, Dispatcher(registry, fakes.deliveries))
    usage = Usage(fakes.system)
    meter = Meter(lambda: usage, fakes.clock, every=0.1)
    sources = Sources(fakes.system, states, fakes.clock, guard)
    inbound_later = InboundLater(fakes.system, FakeQueue())
    services: dict[str, Any] = {
        "inbound_sources": sources,
        "inbound": Inbound((fakes.data, fakes.system), sources, inbound_later, fake_settings(), fakes.clock),
        "push": Push(fakes.data, states, fake_settings()),
        "door": Door(Ring(read), meter, fakes.clock, easy_auth=True),
        "key_console": KeyConsole(Keys(fakes.system, fakes.clock), usage, states.read, fakes.clock),
        "settings": fake_settings(),
        "data_store": fakes.data,
        "system_store": fakes.system,
        "open_inference": OpenInference(champions, predictor, fake_settings()),
        "later": Later(fakes.system, FakeQueue(), predictor, hooks, fake_settings(), fakes.clock),
        "rollout_controls": RolloutControls(states, commands, waker, fakes.clock),
        "approvals": Approvals(states, fakes.system, commands, waker, fakes.clock),
        "cards": Cards(fakes.system),
        "champions": champions,
        "predictor": predictor,
        "gate": Gate(2),
        "webhook_console": console,
        "webhook_replay": Replay(
            fakes.system,
            registry,
            fakes.deliveries,
            Timeline(fakes.system),
            states.loops,
            fakes.clock,
            LogRetention(fakes.system, 30, fakes.clock),
        ),
        "status": status,
        "runs": Runs(states, fakes.system),
        "controls": Controls(states, commands, waker, fakes.clock),
        "datasets": Datasets(states, fakes.system),
        "exports": Exports(states, fakes.system),
        "problem_reports": ProblemReports(StateStore(fakes.system, fakes.clock), fakes.system),
        **{name: Noting(name) for name in ("waker", "controller", "deliverer", "sweeper", "inbound_worker")},
    }
    for name, service in services.items():
        setattr(wiring, name, lambda service=service: service)
    wiring.clock = fakes.clock
    return fakes


def load() -> Any:
    """The product's app, wired to fakes."""
    wire()
    return product()


def product() -> Any:
    """The product's app, as it is."""
    spec = importlib.util.spec_from_file_location("product_app", ROOT / "function_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def make_folder(folder: Path) -> Path:
    """A folder of such an app, as it would be deployed."""
    folder.mkdir()
    (folder / "function_app.py").write_text("from tests.support import faked_app\n\napp = faked_app.load()\n")
    (folder / "host.json").write_text((ROOT / "host.json").read_text())
    return folder
