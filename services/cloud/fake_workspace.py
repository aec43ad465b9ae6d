"""Azure ML in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.cloud.fake_calls import Hook, Hooked, no_hook
from services.cloud.ports.serving import DeploymentSpec, DeploymentView, EndpointView
from services.cloud.ports.training import (
    AutoMLJobSpec,
    BestChild,
    CommandJobSpec,
    ComputeSpec,
    JobPhase,
    JobView,
    TableAsset,
    Trial,
    TrialError,
)
from services.errors import Conflict, NotFound


@dataclass(slots=True)
class FakeEndpoint:
    """An endpoint and its slots."""

    view: EndpointView
    slots: dict[str, DeploymentView] = field(default_factory=dict)


class FakeWorkspace(Hooked):
    """Azure ML in memory: jobs wait until `finish`, endpoints and slots are ready at the second look."""

    port = "workspace"

    def __init__(self, on_call: Hook = no_hook) -> None:
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
            uri, owner = f"https://{name}.example/score", tags.get("visionloop_loop", "")
            self.endpoints.setdefault(name, FakeEndpoint(EndpointView(name, "creating", uri, {}, owner=owner)))

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

    def _there(self, endpoint: str) -> FakeEndpoint:
        if endpoint not in self.endpoints:
            raise NotFound(f"There is no endpoint {endpoint}")
        return self.endpoints[endpoint]

    def begin_deployment(self, spec: DeploymentSpec) -> None:
        with self._outside("begin_deployment"):
            view = DeploymentView(spec.slot, "creating", spec.model)
            self._there(spec.endpoint).slots.setdefault(spec.slot, view)

    def begin_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        with self._outside("begin_traffic"):
            found = self._there(endpoint)
            share = {slot: percent for slot, percent in traffic.items() if percent}
            if sum(share.values()) not in (0, 100) or any(s not in found.slots for s in share):
                raise Conflict(f"Traffic {dict(traffic)} is refused")
            self.traffic_history.append(share)
            found.view = replace(found.view, traffic=share)

    def begin_scale(self, endpoint: str, slot: str, instances: int) -> None:
        with self._outside("begin_scale"):
            if slot not in self._there(endpoint).slots:
                raise NotFound(f"There is no slot {slot}")
            self.machines[endpoint, slot] = instances

    def begin_delete_deployment(self, endpoint: str, slot: str) -> None:
        with self._outside("begin_delete_deployment"):
            found = self.endpoints.get(endpoint)
            if found is not None and found.view.traffic.get(slot):
                raise Conflict(f"{slot} has traffic")
            if found is not None and slot in found.slots:
                found.slots[slot] = replace(found.slots[slot], state="deleting")
