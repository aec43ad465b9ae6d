"""A whole loop over the fakes, in which everything that can go wrong does: the ground of the proofs.

Time, the wake queue, Azure ML and the user are driven from outside; the controller, its stages and the state are the
product's own. A model's quality is how many of the held-out pictures it finds the part in, and better models find a
superset: what is better is beyond doubt.
"""

from __future__ import annotations

import heapq
import itertools
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from services.cloud.fakes import FakeCloud
from services.cloud.ports.training import AutoMLJobSpec, JobPhase
from services.config_stage import ConfigStage
from services.context import Stage
from services.controller import Controller
from services.datasets.reading import holdout
from services.datasets.stage import DatasetStage
from services.labels.annotation import Annotation
from services.names import activity_blob
from services.outbox import Outbox
from services.rollout.guard import GuardStage
from services.rollout.idle import IdleStage
from services.rollout.stage import RolloutStage
from services.state import Event, LoopState
from services.state_store import StateStore
from services.timeline import Timeline
from services.training.stage import TrainingStage
from services.wake import Waker, read_wake
from tests.support.dataset_house import BOX, picture, voc
from tests.support.stages import dies_at

LOOP = "parts"
CONFIG = {
    "quiet_period_seconds": 5,
    "max_wait_seconds": 60,
    "training": {
        "first_threshold": {"images": 10, "per_class": 2},
        "retrain_threshold": {"new_images": 4, "growth": None},
        "cooldown_seconds": 0,
        "max_jobs_per_day": 50,
    },
}
IDLE_HOURS = 20
"""A day's jump of the clock is longer: an endpoint that nobody asks goes to rest in it."""
QUALITIES = 10
CLASSES = ("bolt", "nut")
PASSING = "The node was preempted"
MOST_IMAGES = 40
NUMBERS = {picture(number): number for number in range(MOST_IMAGES)}


def _number(blob: str) -> int:
    return int(blob.rpartition("/")[2].removesuffix(".png"))


class _Told:
    def __init__(self, events: dict[str, Event]) -> None:
        self._events = events

    def dispatch(self, events: list[Event]) -> None:
        self._events.update((e.id, e) for e in events)


class LivingLoop:
    """One loop from its first upload on."""

    def __init__(self) -> None:
        """Nothing is there but the settings."""
        self.fake = FakeCloud()
        self.told: dict[str, Event] = {}
        self.quality: dict[str, int] = {}
        """Of the best trial of a job, by the job's name; of a slot's model, by way of the registered model."""
        self.smoked: set[tuple[str, str, str]] = set()
        """Endpoint, slot and model of what has answered."""
        self._truths: dict[str, dict[int, Sequence[Annotation]]] = {}
        self.broken: list[str] = []
        """What happened and must never happen."""
        self.jobs_that_ran: list[AutoMLJobSpec] = []
        self._numbers, self._queue = itertools.count(), list[tuple[float, int, str]]()
        self._watch()
        self.start_process()
        self.configure()

    # the process

    def start_process(self) -> None:
        """A new process: its memory is empty, and the leases of the one before have run out."""
        cloud, clock = self.fake.cloud(), self.fake.clock
        self.fake.system.break_leases()
        self.waker = Waker(self.fake.wakes, clock, 1)
        live: tuple[Stage, ...] = (RolloutStage(), GuardStage(), IdleStage())
        stages: tuple[Stage, ...] = (ConfigStage(), DatasetStage(), TrainingStage(), *live)
        outbox = Outbox(Timeline(self.fake.system), _Told(self.told))  # type: ignore[arg-type]
        states = StateStore(self.fake.system, clock)
        self.states, self.controller = states, Controller(cloud, stages, self.waker, outbox, states)

    def dying_at(self, number: int, act: Callable[[], None]) -> bool:
        """Die before or after an outside call; returns whether it came to that."""
        died = dies_at(self.fake, number, act)
        self._collect()
        return died

    def _collect(self) -> None:
        """What was sent to the queue becomes visible in its time."""
        now = self.fake.clock.now.timestamp()
        for body, delay in self.fake.wakes.sent:
            heapq.heappush(self._queue, (now + delay, next(self._numbers), body))
        self.fake.wakes.sent.clear()

    # the queue, the timer and time

    def event(self) -> None:
        """One upload or job event, delivered."""
        self.waker.wake(LOOP, "event")
        self._collect()

    def look(self, dies_at: int | None = None, copies: int = 1) -> bool:
        """The next wake that is due reaches a function, which may die in it; one that died is seen again."""
        if not self._queue or self._queue[0][0] > self.fake.clock.now.timestamp():
            return False
        due, _, body = heapq.heappop(self._queue)
        if dies_at is not None and self.dying_at(dies_at, lambda: self.wake(read_wake(body).loop)):
            self.start_process()
            heapq.heappush(self._queue, (due + 30, next(self._numbers), body))
            return True
        for _ in range(copies):
            self.wake(read_wake(body).loop)
        return True

    def wake(self, loop: str = LOOP) -> None:
        self.controller.wake(loop)
        self._collect()

    def next_due(self) -> float | None:
        """Seconds until the next wake."""
        return max(0.0, self._queue[0][0] - self.fake.clock.now.timestamp()) if self._queue else None

    # the user

    def configure(self, idle_hours: float | None = None) -> None:
        """Upload loop.yaml: the endpoint is always up, or rests after so many hours without a prediction."""
        self.put("loop.yaml", json.dumps({**CONFIG, "endpoint": {"idle_after_hours": idle_hours}}).encode())

    def asks(self) -> None:
        """Somebody wants a prediction, which the proxy notes, and which wakes a loop that rests."""
        said = json.dumps({"last": self.fake.clock.now.isoformat()})
        self.fake.system.write(activity_blob(LOOP), said.encode())
        self.event()

    def put(self, path: str, data: bytes) -> None:
        self.fake.data.write(f"{LOOP}/{path}", data)

    def image(self, number: int) -> None:
        self.put(f"images/{number:03}.png", picture(number))

    def label(self, number: int, name: str, shift: int = 0) -> None:
        left, top, right, bottom = BOX
        self.put(f"labels/{number:03}.xml", voc((name, (left + shift, top, right + shift, bottom))))

    def remove(self, path: str) -> None:
        self.fake.data.delete(f"{LOOP}/{path}")

    # Azure ML

    def running(self) -> list[str]:
        return [name for name, job in self.fake.workspace.jobs.items() if job.phase in ("waiting", "running")]

    def complete(self, job: str, quality: int) -> None:
        self.quality[f"{job}_HD_0"] = quality
        self.fake.workspace.finish(job, {"mean_average_precision": quality / QUALITIES})

    def end(self, job: str, phase: JobPhase, error: str = "") -> None:
        old = self.fake.workspace.jobs[job]
        self.fake.workspace.jobs[job] = replace(old, status=phase.capitalize(), phase=phase, error=error)

    def take_away(self, *, endpoint: bool) -> None:
        """Somebody deletes the live slot, or the endpoint, by hand; what comes in its place has answered nothing."""
        champion = self.state.champion
        if champion is None or champion.endpoint not in self.fake.workspace.endpoints:
            return
        there = self.fake.workspace.endpoints[champion.endpoint]
        there.slots.pop(champion.slot, None)
        there.view = replace(there.view, traffic={})
        self.smoked = {found for found in self.smoked if found[:2] != (champion.endpoint, champion.slot)}
        if endpoint:
            del self.fake.workspace.endpoints[champion.endpoint]

    def settle_slots(self) -> bool:
        """Whatever Azure ML is still busy with is done; returns whether it was busy with anything."""
        busy = False
        for endpoint in self.fake.workspace.endpoints.values():
            if endpoint.view.state == "creating":
                endpoint.view, busy = replace(endpoint.view, state="succeeded"), True
            for slot, view in list(endpoint.slots.items()):
                if view.state == "creating":
                    endpoint.slots[slot], busy = replace(view, state="succeeded"), True
                if view.state == "deleting":
                    del endpoint.slots[slot]
                    busy = True
        return busy

    # what is watched at every call

    def _watch(self) -> None:
        workspace = self.fake.workspace
        submit, shift, delete = workspace.submit, workspace.begin_traffic, workspace.begin_delete_deployment

        def watched_submit(spec: AutoMLJobSpec) -> None:
            known, beside = spec.name in workspace.jobs, self.running()
            try:
                submit(spec)
            finally:
                if not known and spec.name in workspace.jobs:
                    self._check_job(spec, beside)
                    self.jobs_that_ran.append(spec)

        def watched_traffic(endpoint: str, traffic: dict[str, int]) -> None:
            self._check_traffic(endpoint, {slot: share for slot, share in traffic.items() if share})
            shift(endpoint, traffic)

        def watched_delete(endpoint: str, slot: str) -> None:
            delete(endpoint, slot)  # what is deployed there next has to answer anew
            self.smoked = {known for known in self.smoked if known[:2] != (endpoint, slot)}

        workspace.submit, workspace.begin_traffic = watched_submit, watched_traffic  # type: ignore[method-assign,assignment]
        workspace.begin_delete_deployment = watched_delete  # type: ignore[method-assign]
        self.fake.scorer.answer = self._answer

    def _check_job(self, spec: AutoMLJobSpec, beside: Sequence[str]) -> None:
        if beside:
            self.broken.append(f"{spec.name} is a second job beside {beside}")
        data = self._content(spec)
        for other in self.jobs_that_ran:
            same = replace(other, name=spec.name, tags=spec.tags, train=spec.train, validation=spec.validation)
            if same == spec and self._content(other) == data and not self._passing(other):
                self.broken.append(f"{spec.name} is {other.name} again")

    def _passing(self, spec: AutoMLJobSpec) -> bool:
        """Whether a job ended by what passes, which is paid for again."""
        found = self.fake.workspace.jobs.get(spec.name)
        return found is not None and found.error == PASSING

    def _content(self, spec: AutoMLJobSpec) -> tuple[str, ...]:
        tables = (self.fake.workspace.tables[(n, v)] for n, _, v in (a.partition(":") for a in (spec.train,)))
        return tuple(table.tags["content_hash"] for table in tables)

    def _check_traffic(self, endpoint: str, traffic: dict[str, int]) -> None:
        if sum(traffic.values()) not in (0, 100):
            self.broken.append(f"Traffic {traffic}")
        for slot in traffic:
            view = self.fake.workspace.endpoints[endpoint].slots.get(slot)
            if view is None or view.state != "succeeded" or (endpoint, slot, view.model) not in self.smoked:
                self.broken.append(f"Traffic to {slot} of {endpoint}, which is {view}")

    def model_quality(self, model: str) -> int:
        name, _, version = model.partition(":")
        return self.quality[self.fake.workspace.models[(name, version)]]

    def _answer(self, slot: str, image: bytes) -> dict[str, object]:
        [(name, model)] = [
            (name, e.slots[slot].model) for name, e in self.fake.workspace.endpoints.items() if slot in e.slots
        ]
        self.smoked.add((name, slot, model))
        found = zlib.crc32(image) % QUALITIES < self.model_quality(model)
        return {"boxes": self._truth(image) if found else []}

    def _truth(self, image: bytes) -> list[dict[str, object]]:
        """What the version that the rollout judges by says of an image."""
        state = self.state
        version = state.version(state.rollout.dataset_version) if state.rollout else state.datasets[-1]
        if version.folder not in self._truths:
            held_out = holdout(self.fake.system, version)
            self._truths[version.folder] = {_number(each.blob): each.annotations for each in held_out}
        corners = ("topX", "topY", "bottomX", "bottomY")
        return [
            {"box": dict(zip(corners, a.box or (), strict=True)), "label": a.label, "score": 0.9}
            for a in self._truths[version.folder].get(NUMBERS.get(image, -1), ())
        ]

    # what is seen

    @property
    def state(self) -> LoopState:
        return self.states.read(LOOP)

    def document(self) -> dict[str, Any]:
        """The state without the times at which it was looked at."""
        found = self.state.model_dump(mode="json")
        found.pop("next_wake")
        return found

    def champion(self) -> str | None:
        found = self.state.champion if "state/parts.json" in self.fake.system.blobs else None
        return f"{found.model.name}:{found.model.version}" if found else None
