"""What the product needs of a cloud, as protocols: Azure's adapters and the in-memory fakes both fit them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from services.distributions import Distribution

CLAIM = "visionloop_image"
"""Name of a blob's metadata."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A listed blob. `md5` is hexadecimal, empty where the service has none."""

    name: str
    etag: str
    size: int
    modified: datetime
    md5: str = ""
    claim: str = ""
    """What whoever wrote it says of it, in the blob's metadata under CLAIM: see `services.catalogue.claims`."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob's bytes and the ETag that they had."""

    data: bytes
    etag: str


class Lease(Protocol):
    """A held lease; renewed in the background until released."""

    @property
    def id(self) -> str: ...
    def release(self) -> None: ...


class BlobReader(Protocol):
    """Files that are only read. Names have no leading slash."""

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Every blob below `prefix`, in order of name."""
        ...

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        """Read a blob or a range of it.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        """Yield a blob in chunks, all of one ETag.

        Raises:
            NotFound: there is no such blob.
            ChangedMeanwhile: the blob no longer has `etag`.
        """
        ...


class BlobStore(BlobReader, Protocol):
    """One container. Names have no leading slash."""

    def folders(self, prefix: str = "") -> Sequence[str]:
        """Names of the folders directly below `prefix`, without it and without a slash."""
        ...

    def write(
        self,
        name: str,
        data: bytes,
        *,
        etag: str | None = None,
        create: bool = False,
        lease: str | None = None,
        claim: str = "",
    ) -> str:
        """Write a blob and return its ETag; with `etag` only over that one, with `create` only where none is.

        Raises:
            ChangedMeanwhile: the condition or the lease did not hold.
        """
        ...

    def append(self, name: str, data: bytes) -> None:
        """Append to an append blob, made if absent; never interleaves within `data` (at most 4 MiB)."""
        ...

    def delete(self, name: str) -> None:
        """Delete a blob; one that is not there is fine."""
        ...

    def lease(self, name: str) -> Lease:
        """Take the lease of an existing blob.

        Raises:
            LoopBusy: somebody else holds it.
            NotFound: there is no such blob.
        """
        ...


class Queue(Protocol):
    """One queue of text messages."""

    def send(self, body: str, *, delay: float = 0) -> None:
        """Put a message on the queue, visible after `delay` seconds (at most 7 days)."""
        ...


JobPhase = Literal["waiting", "running", "completed", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as Azure ML shows it. `status` is Azure ML's own word, `phase` ours."""

    name: str
    status: str
    phase: JobPhase
    error: str = ""
    studio_url: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    codes: Sequence[str] = ()
    """Azure ML's codes of the error, the outermost first."""


@dataclass(frozen=True, slots=True)
class TrialError:
    """Why a trial failed; `codes` from the outside in."""

    trial: str
    codes: Sequence[str]
    message: str


@dataclass(frozen=True, slots=True)
class BestChild:
    """The best trial of a finished job."""

    run_id: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of a job: what it tried, and each of its metrics as (step, value), a step being an epoch mostly."""

    name: str
    status: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class TableAsset:
    """An MLTable data asset: `folder` (in the system container) holds a file named MLTable."""

    name: str
    version: str
    folder: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComputeSpec:
    """An AmlCompute cluster that scales down to zero."""

    name: str
    size: str
    max_nodes: int
    idle_seconds: int


@dataclass(frozen=True, slots=True)
class EarlyTerminationSpec:
    """One of Azure ML's early termination policies."""

    policy: Literal["bandit", "median_stopping", "truncation_selection"]
    evaluation_interval: int
    delay_evaluation: int
    slack_factor: float = 0.2
    """Of the bandit policy."""
    truncation_percentage: int = 20
    """Of truncation selection."""


@dataclass(frozen=True, slots=True)
class AutoMLJobSpec:
    """An AutoML-for-Images job; `train` and `validation` are data assets as `name:version`."""

    name: str
    experiment: str
    task: str
    train: str
    validation: str
    compute: str
    primary_metric: str
    max_trials: int
    max_concurrent_trials: int
    timeout_minutes: int
    trial_timeout_minutes: int
    sampling: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    search_space: Sequence[Mapping[str, Distribution]] = ()
    early_termination: EarlyTerminationSpec | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandJobSpec:
    """A job that runs the user's own script; `inputs` are data assets as `name:version`, by their name in `command`."""

    name: str
    experiment: str
    command: str
    environment: str
    """As `azureml:…`, or the address of a container image."""
    inputs: Mapping[str, str]
    compute: str
    timeout_minutes: int
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


Provisioning = Literal["creating", "succeeded", "failed", "deleting"]


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An online endpoint. `traffic` is percent by slot, zero entries left out."""

    name: str
    state: Provisioning
    scoring_uri: str
    traffic: Mapping[str, int]
    error: str = ""
    owner: str = ""
    """The loop that it was made for, by its tag `visionloop_loop`; empty where somebody else made it."""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One slot of an endpoint; `model` as `name:version`."""

    slot: str
    state: Provisioning
    model: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """A slot to create; `model` as `name:version`."""

    endpoint: str
    slot: str
    model: str
    instance_type: str
    instance_count: int
    request_timeout_seconds: int
    max_concurrent_requests: int
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    """The attached Kubernetes cluster; empty for a managed slot."""


class Workspace(Protocol):
    """Azure ML. Nothing here waits: what takes long is begun, and looked at again on a later wake.

    Every call is safe to repeat. All raise UpstreamBusy, UpstreamTimeout or Upstream where Azure fails.
    """

    def register_table(self, asset: TableAsset) -> None:
        """Register a data asset once; the same name and version with the same folder is already done.

        Raises:
            Conflict: the name and version exist with another folder.
        """
        ...

    def ensure_compute(self, spec: ComputeSpec) -> None:
        """Begin to create the cluster if it does not exist."""
        ...

    def compute_problem(self, spec: ComputeSpec) -> str:
        """What keeps the cluster from training, in a sentence; empty where it exists or can be created."""
        ...

    def compute_errors(self, name: str) -> Sequence[str]:
        """Why a cluster gets no machines, by its own words; empty where it has none, or is not there."""
        ...

    def has_table(self, name: str, version: str) -> bool:
        """Whether a data asset is registered."""
        ...

    def archive_table(self, name: str, version: str) -> None:
        """Archive a data asset, so that it is listed no more; one that is not there is left alone."""
        ...

    def job(self, name: str) -> JobView | None: ...

    def submit(self, spec: AutoMLJobSpec) -> None:
        """Submit the job under its name; a job of that name that exists is left alone."""
        ...

    def submit_command(self, spec: CommandJobSpec, code: Path) -> None:
        """The same for a script, whose files are uploaded from the folder `code`."""
        ...

    def cancel(self, job: str) -> None:
        """Begin to cancel a job; one that has ended, or is not there, is left alone."""
        ...

    def trial_errors(self, job: str) -> Sequence[TrialError]:
        """Why the first few trials that failed did; empty where it cannot be read."""
        ...

    def best_child(self, job: str) -> BestChild | None:
        """The best trial, by the MLflow tag `automl_best_child_run_id`; None where no trial succeeded.

        A script's job is its own, where it logged a model.
        """
        ...

    def trials(self, job: str, known: Collection[str] = ()) -> Sequence[Trial]:
        """The trials of a job so far, but for those whose names are `known`."""
        ...

    def register_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        """Register the MLflow model of a trial once."""
        ...

    def endpoint(self, name: str) -> EndpointView | None: ...

    def begin_endpoint(self, name: str, tags: Mapping[str, str], cluster: str = "") -> None:
        """Begin to create a managed endpoint with identity authentication, or one on an attached Kubernetes cluster."""
        ...

    def deployment(self, endpoint: str, slot: str) -> DeploymentView | None: ...

    def begin_deployment(self, spec: DeploymentSpec) -> None: ...

    def begin_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Begin to set the traffic; `traffic` sums to 100, or to 0 where nothing is live.

        Raises:
            Conflict: a slot is unknown.
        """
        ...

    def begin_scale(self, endpoint: str, slot: str, instances: int) -> None:
        """Begin to give a slot so many machines; one that has them is left alone.

        Raises:
            NotFound: there is no such slot.
        """
        ...

    def begin_delete_deployment(self, endpoint: str, slot: str) -> None: ...


class Scorer(Protocol):
    """Calls one slot of an endpoint."""

    def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """Azure ML's answer, one object an image; `deadline` in seconds from now.

        Raises:
            Upstream: with UpstreamBusy, UpstreamTimeout and UpstreamUnreached where they fit better.
        """
        ...

    def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """The same for a body and an answer in Azure ML's own shape, neither of which is looked at."""
        ...


class AsyncScorer(Protocol):
    """The same from the event loop; cancelling a call cancels the slot's request."""

    async def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """See `Scorer.score`."""
        ...

    async def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """See `Scorer.forward`."""
        ...
