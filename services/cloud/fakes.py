"""In-memory stand-ins for every port: conditional writes and leases are honoured, and a test can kill at any call.

`on_call` is called with `before:<port>.<call>` and `after:<port>.<call>` around every outside call; an exception raised
there is a process that died at that line.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.cloud.ports import (
    AutoMLJobSpec,
    BestChild,
    Blob,
    BlobInfo,
    CommandJobSpec,
    ComputeSpec,
    DeploymentSpec,
    DeploymentView,
    EndpointView,
    JobPhase,
    JobView,
    TableAsset,
    Trial,
    TrialError,
)
from services.context import Cloud
from services.errors import ChangedMeanwhile, Conflict, LoopBusy, NotFound
from services.settings import Settings

Hook = Callable[[str], None]


def _no_hook(_: str) -> None:
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


class _Hooked:
    port = ""

    def __init__(self, on_call: Hook = _no_hook) -> None:
        self.on_call = on_call
        self.calls: list[str] = []

    @contextmanager
    def _outside(self, call: str) -> Iterator[None]:
        self.on_call(f"before:{self.port}.{call}")
        self.calls.append(call)
        yield
        self.on_call(f"after:{self.port}.{call}")


@dataclass(slots=True)
class _Stored:
    data: bytes
    etag: str
    modified: datetime
    lease: str | None = None


class _FakeLease:
    def __init__(self, stored: _Stored, lease_id: str) -> None:
        self._stored, self._id = stored, lease_id

    @property
    def id(self) -> str:
        return self._id

    def release(self) -> None:
        if self._stored.lease == self._id:
            self._stored.lease = None


class FakeBlobStore(_Hooked):
    """A container in memory."""

    port = "blob"

    def __init__(self, on_call: Hook = _no_hook, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` stamps the blobs."""
        super().__init__(on_call)
        self.clock = clock or FakeClock()
        self.blobs: dict[str, _Stored] = {}
        self._numbers = itertools.count(1)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        with self._outside("list"):
            found = sorted((n, b) for n, b in self.blobs.items() if n.startswith(prefix))
        for name, blob in found:
            md5 = hashlib.md5(blob.data, usedforsecurity=False).hexdigest()
            plain = blob.etag.strip('"')  # as in Azure, whose listings are the only answers without quotes
            yield BlobInfo(name, plain, len(blob.data), blob.modified, md5)

    def folders(self, prefix: str = "") -> Sequence[str]:
        with self._outside("folders"):
            below = (n[len(prefix) :] for n in self.blobs if n.startswith(prefix))
            return sorted({rest.split("/")[0] for rest in below if "/" in rest})

    def _get(self, name: str) -> _Stored:
        if name not in self.blobs:
            raise NotFound(f"There is no blob {name}")
        return self.blobs[name]

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        with self._outside("read"):
            blob = self._get(name)
            end = None if length is None else offset + length
            return Blob(blob.data[offset:end], blob.etag)

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        with self._outside("stream"):
            blob = self._get(name)
            if etag is not None and blob.etag.strip('"') != etag.strip('"'):
                raise ChangedMeanwhile(f"{name} has changed")
            data = blob.data
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]

    def write(
        self,
        name: str,
        data: bytes,
        *,
        etag: str | None = None,
        create: bool = False,
        lease: str | None = None,
    ) -> str:
        with self._outside("write"):
            old = self.blobs.get(name)
            if (create and old) or (etag is not None and (old is None or old.etag != etag)):
                raise ChangedMeanwhile(f"{name} has changed")
            if old is not None and old.lease != lease and (old.lease or lease):
                raise ChangedMeanwhile(f"The lease of {name} is not ours")
            stored = _Stored(bytes(data), f'"{next(self._numbers)}"', self.clock(), old.lease if old else None)
            if old is not None:
                old.data, old.etag, old.modified = stored.data, stored.etag, stored.modified
            else:
                self.blobs[name] = stored
            return stored.etag

    def append(self, name: str, data: bytes) -> None:
        with self._outside("append"):
            old = self.blobs.get(name)
            self.blobs[name] = _Stored((old.data if old else b"") + data, f'"{next(self._numbers)}"', self.clock())

    def delete(self, name: str) -> None:
        with self._outside("delete"):
            self.blobs.pop(name, None)

    def lease(self, name: str) -> _FakeLease:
        with self._outside("lease"):
            stored = self._get(name)
            if stored.lease:
                raise LoopBusy(f"Somebody else holds the lease of {name}")
            stored.lease = f"lease-{next(self._numbers)}"
            return _FakeLease(stored, stored.lease)

    def break_leases(self) -> None:
        """What time does to the leases of a process that died."""
        for stored in self.blobs.values():
            stored.lease = None


class FakeQueue(_Hooked):
    """A queue that remembers what was sent, as (body, delay in seconds)."""

    port = "queue"

    def __init__(self, on_call: Hook = _no_hook) -> None:
        """An empty queue."""
        super().__init__(on_call)
        self.sent: list[tuple[str, float]] = []

    def send(self, body: str, *, delay: float = 0) -> None:
        with self._outside("send"):
            self.sent.append((body, delay))


@dataclass(slots=True)
class FakeEndpoint:
    """An endpoint and its slots."""

    view: EndpointView
    slots: dict[str, DeploymentView] = field(default_factory=dict)


class FakeWorkspace(_Hooked):
    """Azure ML in memory: jobs wait until `finish`, endpoints and slots are ready at the second look."""

    port = "workspace"

    def __init__(self, on_call: Hook = _no_hook) -> None:
        """An empty workspace."""
        super().__init__(on_call)
        self.tables: dict[tuple[str, str], TableAsset] = {}
        self.computes: dict[str, ComputeSpec] = {}
        self.compute_problems: dict[str, str] = {}
        self.starving: dict[str, str] = {}
        """Why a cluster gets no machines, by its name."""
        self.missing_tables: set[tuple[str, str]] = set()
        self.archived_tables: set[tuple[str, str]] = set()
        self.jobs: dict[str, JobView] = {}
        self.specs: dict[str, AutoMLJobSpec] = {}
        self.commands: dict[str, tuple[CommandJobSpec, dict[str, bytes]]] = {}
        """Jobs of scripts, each with its files."""
        self.submissions: list[str] = []
        """Every job that was really started, by name: a duplicate here is a duplicate GPU job."""
        self.children: dict[str, BestChild] = {}
        self.curves: dict[str, list[Trial]] = {}
        self.errors: dict[str, list[TrialError]] = {}
        """By job, what its failed trials say."""
        self.models: dict[tuple[str, str], str] = {}
        self.endpoints: dict[str, FakeEndpoint] = {}
        self.machines: dict[tuple[str, str], int] = {}
        self.traffic_history: list[dict[str, int]] = []
        self.failing_slots: set[str] = set()

    def register_table(self, asset: TableAsset) -> None:
        with self._outside("register_table"):
            old = self.tables.setdefault((asset.name, asset.version), asset)
            if old.folder != asset.folder:
                raise Conflict(f"{asset.name}:{asset.version} exists with another folder")

    def ensure_compute(self, spec: ComputeSpec) -> None:
        with self._outside("ensure_compute"):
            self.computes.setdefault(spec.name, spec)

    def compute_problem(self, spec: ComputeSpec) -> str:
        with self._outside("compute_problem"):
            return self.compute_problems.get(spec.name, "")

    def compute_errors(self, name: str) -> Sequence[str]:
        with self._outside("compute_errors"):
            return [found] if (found := self.starving.get(name)) else []

    def has_table(self, name: str, version: str) -> bool:
        with self._outside("has_table"):
            return (name, version) not in self.missing_tables

    def archive_table(self, name: str, version: str) -> None:
        with self._outside("archive_table"):
            self.archived_tables.add((name, version))

    def job(self, name: str) -> JobView | None:
        with self._outside("job"):
            return self.jobs.get(name)

    def submit(self, spec: AutoMLJobSpec) -> None:
        with self._outside("submit"):
            if spec.name in self.jobs:
                return
            self.submissions.append(spec.name)
            self.specs[spec.name] = spec
            self.jobs[spec.name] = JobView(spec.name, "Running", "running")

    def submit_command(self, spec: CommandJobSpec, code: Path) -> None:
        with self._outside("submit"):
            if spec.name in self.jobs:
                return
            files = {f.relative_to(code).as_posix(): f.read_bytes() for f in code.rglob("*") if f.is_file()}
            self.submissions.append(spec.name)
            self.commands[spec.name] = spec, files
            self.jobs[spec.name] = JobView(spec.name, "Running", "running")

    def finish(
        self, name: str, metrics: Mapping[str, float] | None = None, *, error: str = "", codes: Sequence[str] = ()
    ) -> None:
        """End a job: completed with these metrics of its best trial (none: no trial succeeded), or failed."""
        phase: JobPhase = "failed" if error else "completed"
        status = phase.capitalize()
        self.jobs[name] = replace(self.jobs[name], status=status, phase=phase, error=error, codes=codes)
        if metrics is not None and not error:
            self.children[name] = BestChild(f"{name}_HD_0", dict(metrics))

    def cancel(self, job: str) -> None:
        with self._outside("cancel"):
            found = self.jobs.get(job)
            if found is not None and found.phase in ("waiting", "running"):
                self.jobs[job] = replace(found, status="Canceled", phase="canceled")

    def trial_errors(self, job: str) -> Sequence[TrialError]:
        with self._outside("trial_errors"):
            return self.errors.get(job, [])

    def best_child(self, job: str) -> BestChild | None:
        with self._outside("best_child"):
            return self.children.get(job)

    def trials(self, job: str, known: Collection[str] = ()) -> list[Trial]:
        with self._outside("trials"):
            return [trial for trial in self.curves.get(job, []) if trial.name not in known]

    def register_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        with self._outside("register_model"):
            if self.models.setdefault((name, version), child) != child:
                raise Conflict(f"{name}:{version} exists from another trial")

    def endpoint(self, name: str) -> EndpointView | None:
        with self._outside("endpoint"):
            found = self.endpoints.get(name)
            if found is None:
                return None
            view, found.view = found.view, replace(found.view, state="succeeded")
            return view

    def begin_endpoint(self, name: str, tags: Mapping[str, str], cluster: str = "") -> None:
        with self._outside("begin_endpoint"):
            uri = f"https://{name}.example/score"
            self.endpoints.setdefault(name, FakeEndpoint(EndpointView(name, "creating", uri, {})))

    def deployment(self, endpoint: str, slot: str) -> DeploymentView | None:
        with self._outside("deployment"):
            slots = self.endpoints[endpoint].slots if endpoint in self.endpoints else {}
            view = slots.get(slot)
            if view is None:
                return None
            if view.state == "creating":
                failed = slot in self.failing_slots
                slots[slot] = replace(view, state="failed" if failed else "succeeded", error="no" if failed else "")
            if view.state == "deleting":
                del slots[slot]
            return view

    def begin_deployment(self, spec: DeploymentSpec) -> None:
        with self._outside("begin_deployment"):
            view = DeploymentView(spec.slot, "creating", spec.model)
            self.endpoints[spec.endpoint].slots.setdefault(spec.slot, view)

    def begin_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        with self._outside("begin_traffic"):
            found = self.endpoints[endpoint]
            share = {slot: percent for slot, percent in traffic.items() if percent}
            if sum(share.values()) not in (0, 100) or any(s not in found.slots for s in share):
                raise Conflict(f"Traffic {dict(traffic)} is refused")
            self.traffic_history.append(share)
            found.view = replace(found.view, traffic=share)

    def begin_scale(self, endpoint: str, slot: str, instances: int) -> None:
        with self._outside("begin_scale"):
            if slot not in self.endpoints[endpoint].slots:
                raise NotFound(f"There is no slot {slot}")
            self.machines[endpoint, slot] = instances

    def begin_delete_deployment(self, endpoint: str, slot: str) -> None:
        with self._outside("begin_delete_deployment"):
            found = self.endpoints[endpoint]
            if found.view.traffic.get(slot):
                raise Conflict(f"{slot} has traffic")
            if slot in found.slots:
                found.slots[slot] = replace(found.slots[slot], state="deleting")


Answer = Callable[[str, bytes], dict[str, object]]


class FakeScorer(_Hooked):
    """Answers by a function of slot and image; without one, an answer without boxes."""

    port = "scorer"

    def __init__(self, answer: Answer | None = None, on_call: Hook = _no_hook) -> None:
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
    on_call: Hook = _no_hook
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
