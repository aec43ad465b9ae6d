"""`AzureWorkspace` over HTTP through the real azure-ai-ml; each test has names of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports.serving import DeploymentSpec
from services.cloud.ports.training import AutoMLJobSpec, ComputeSpec, EarlyTerminationSpec, TableAsset
from services.cloud.scoring import EndpointScorer
from services.errors import Conflict, NotFound, Upstream, UpstreamBusy, UpstreamRefused
from services.settings import Settings
from services.training.search_space import read_space
from tests.integration.workspace.conftest import FOLDER, image
from tests.support.azure_ml_process import AzureML
from tests.support.timing import tried_again, within

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations

T = TypeVar("T")


def wait_for(ask: Callable[[], T], fits: Callable[[T], bool], seconds: float = 120) -> T:
    ends = time.monotonic() + seconds
    while not fits(found := ask()):
        assert time.monotonic() < ends, found
        time.sleep(0.05)
    return found


def table(name: str, folder: str = "train") -> TableAsset:
    return TableAsset(name, "1", f"{FOLDER}{folder}", "Images of nuts", {"content_hash": "abc"})


def spec(name: str, **changes: Any) -> AutoMLJobSpec:
    fields: dict[str, Any] = {
        "name": name,
        "experiment": "visionloop-nuts",
        "task": "object_detection",
        "train": "nuts-train:1",
        "validation": "nuts-validation:1",
        "compute": "gpu-cluster",
        "primary_metric": "mean_average_precision",
        "max_trials": 2,
        "max_concurrent_trials": 1,
        "timeout_minutes": 60,
        "trial_timeout_minutes": 30,
        "sampling": "random",
        "search_space": [read_space({"model_name": ["yolov5"], "learning_rate": "uniform(0.001, 0.01)"})],
        "early_termination": EarlyTerminationSpec("bandit", 2, 6),
        "tags": {"visionloop_loop": "nuts"},
    }
    return AutoMLJobSpec(**fields | changes)


CLUSTER = ComputeSpec("gpu-cluster", "Standard_NC4as_T4_v3", 2, 600)


@pytest.fixture(scope="module")
def ready(workspace: AzureWorkspace) -> AzureWorkspace:
    """The data and the cluster that jobs need."""
    workspace.register_table(table("nuts-train"))
    workspace.register_table(table("nuts-validation", "validation"))
    workspace.ensure_compute(CLUSTER)
    return workspace


@pytest.fixture(scope="module")
def job(ready: AzureWorkspace) -> str:
    """A job that completed."""
    ready.submit(spec("vl-nuts-00000000000a"))
    wait_for(lambda: ready.job("vl-nuts-00000000000a"), lambda v: v is not None and v.phase == "completed")
    return "vl-nuts-00000000000a"


def test_a_table_is_registered_once(workspace: AzureWorkspace) -> None:
    workspace.register_table(table("once"))
    workspace.register_table(table("once"))
    with pytest.raises(Conflict, match="once:1: it exists with another folder"):
        workspace.register_table(table("once", "validation"))


def test_a_cluster_is_made_once(workspace: AzureWorkspace) -> None:
    workspace.ensure_compute(CLUSTER)
    workspace.ensure_compute(CLUSTER)
    found = workspace._client.compute.get("gpu-cluster")
    assert (found.size.lower(), found.min_instances, found.max_instances) == ("standard_nc4as_t4_v3", 0, 2)


def test_what_is_not_there_is_none(workspace: AzureWorkspace) -> None:
    assert workspace.job("vl-nuts-ffffffffffff") is None
    assert workspace.endpoint("nowhere") is None
    assert workspace.deployment("nowhere", "blue") is None
    with pytest.raises(NotFound):
        workspace.best_child("vl-nuts-ffffffffffff")


def test_a_job_runs_to_its_best_trial(ready: AzureWorkspace, job: str) -> None:
    view = ready.job(job)
    assert view is not None
    assert (view.name, view.status, view.phase, view.error) == (job, "Completed", "completed", "")
    assert view.started is not None
    assert view.ended is not None
    assert view.started <= view.ended
    child = ready.best_child(job)
    assert child is not None
    assert child.run_id.startswith(job)
    assert child.run_id != job
    assert child.metrics["mean_average_precision"] > 0
    trials = ready.trials(job)
    assert child.run_id in [trial.name for trial in trials]
    assert {trial.status for trial in trials} == {"completed"}
    best = next(trial for trial in trials if trial.name == child.run_id)
    assert "learning_rate" in best.parameters
    steps = [step for step, _ in best.metrics["mean_average_precision"]]
    assert steps == sorted(steps)
    assert ready.trials(job, {trial.name for trial in trials}) == []


def test_a_job_submitted_again_is_left_alone(ready: AzureWorkspace, job: str) -> None:
    before = ready.job(job)
    ready.submit(spec(job, max_trials=9))
    assert ready.job(job) == before


def test_many_submissions_at_once_are_one_job(ready: AzureWorkspace, emulator: AzureML) -> None:
    name, errors = "vl-nuts-00000000000b", []

    def submit() -> None:
        try:
            ready.submit(spec(name))
        except Upstream as error:
            errors.append(error)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    wait_for(lambda: ready.job(name), lambda v: v is not None and v.phase == "completed")
    starts = list((emulator.folder / "azure_ml").rglob(f"*{name}*/starts"))
    assert [f.read_text() for f in starts] == ["started\n"]


def test_why_a_job_failed_is_told(ready: AzureWorkspace, emulator: AzureML) -> None:
    name = "vl-nuts-00000000000c"
    emulator.request("POST", "/emulator/faults", {"kind": "fail_job", "path": name, "message": "Out of nuts"})
    ready.submit(spec(name))
    view = wait_for(lambda: ready.job(name), lambda v: v is not None and v.phase in ("completed", "failed"))
    assert view is not None
    assert (view.phase, view.status) == ("failed", "Failed")
    assert "Out of nuts" in view.error
    assert ready.best_child(name) is None


def test_a_job_on_unknown_data_is_refused(ready: AzureWorkspace) -> None:
    with pytest.raises((UpstreamRefused, NotFound)):
        ready.submit(spec("vl-nuts-00000000000d", train="nothing:7"))
    assert ready.job("vl-nuts-00000000000d") is None


def test_a_model_is_registered_once(ready: AzureWorkspace, job: str) -> None:
    child = ready.best_child(job)
    assert child is not None
    ready.register_model("vl-once", "1", child.run_id, {"visionloop_loop": "nuts"})
    ready.register_model("vl-once", "1", child.run_id, {"visionloop_loop": "nuts"})
    with pytest.raises(Conflict, match="from another trial"):
        ready.register_model("vl-once", "1", "somebody-else", {})


def deployment(endpoint: str, slot: str) -> DeploymentSpec:
    return DeploymentSpec(endpoint, slot, "vl-deployed:1", "Standard_DS3_v2", 1, 90, 2, {"visionloop_run": "1"})


def test_an_endpoint_from_nothing_to_an_empty_one(ready: AzureWorkspace, job: str) -> None:
    child = ready.best_child(job)
    assert child is not None
    ready.register_model("vl-deployed", "1", child.run_id, {})
    begun = set(threading.enumerate())
    ready.begin_endpoint("nuts-slots", {"visionloop_loop": "nuts"})
    view = wait_for(lambda: ready.endpoint("nuts-slots"), lambda v: v is not None and v.state == "succeeded")
    assert view is not None
    assert view.traffic == {}
    assert view.owner == "nuts"
    ready.begin_deployment(deployment("nuts-slots", "blue"))
    found = wait_for(lambda: ready.deployment("nuts-slots", "blue"), lambda v: v is not None and v.state == "succeeded")
    assert found is not None
    assert found.model == "vl-deployed:1"
    of_the_topic = "(process_request_thread)"  # which the emulator tells of all this
    more = [one.name for one in set(threading.enumerate()) - begun if not one.name.endswith(of_the_topic)]
    assert more == [], "nothing polls behind our back"
    answers = EndpointScorer().score(view.scoring_uri, "blue", [image(1), image(2)], deadline=60)
    assert [sorted(a) for a in answers] == [["boxes"], ["boxes"]]

    ready.begin_traffic("nuts-slots", {"blue": 100, "green": 0})
    wait_for(lambda: ready.endpoint("nuts-slots"), lambda v: v is not None and v.traffic == {"blue": 100})
    ready.begin_endpoint("nuts-slots", {})  # repeated after a crash: the traffic stays
    again = ready.endpoint("nuts-slots")
    assert again is not None
    assert (again.traffic, again.owner) == ({"blue": 100}, "nuts")
    with pytest.raises(Conflict, match="is refused"):
        ready.begin_traffic("nuts-slots", {"green": 100})
    ready.begin_traffic("nuts-slots", {})
    wait_for(lambda: ready.endpoint("nuts-slots"), lambda v: v is not None and v.traffic == {})
    ready.begin_delete_deployment("nuts-slots", "blue")
    wait_for(lambda: ready.deployment("nuts-slots", "blue"), lambda v: v is None)
    ready.begin_delete_deployment("nuts-slots", "blue")


def test_a_slot_that_nobody_has_does_not_answer(ready: AzureWorkspace) -> None:
    ready.begin_endpoint("nuts-empty", {})
    view = wait_for(lambda: ready.endpoint("nuts-empty"), lambda v: v is not None and v.state == "succeeded")
    assert view is not None
    with pytest.raises((NotFound, Upstream)):
        EndpointScorer().score(view.scoring_uri, "blue", [image(1)], deadline=5)


@pytest.mark.parametrize(("status", "error"), [(429, UpstreamBusy), (500, Upstream), (503, UpstreamBusy)])
@tried_again
def test_azures_failures_are_ours(
    ready: AzureWorkspace, emulator: AzureML, status: int, error: type[Exception]
) -> None:
    fault = {"kind": "refuse", "status": status, "path": "/jobs/vl-nuts-faulty", "times": 20, "retry_after": 60}
    code, body = emulator.request("POST", "/emulator/faults", fault)
    assert code in (200, 201), body
    try:
        with within(5), pytest.raises(error) as caught:
            ready.job("vl-nuts-faulty")
    finally:
        emulator.request("DELETE", "/emulator/faults")
    assert type(caught.value) is error


def test_an_azure_that_is_down_is_upstream(settings: Settings, emulator: AzureML) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARM_CLOUD_METADATA_URL", "https://localhost:9/metadata/endpoints")
        with pytest.raises(Upstream):
            AzureWorkspace(settings).job("any")
    assert emulator.url


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("Standard_NC4as_T4_v3", ""),
        ("STANDARD_NC4AS_T4_V3", ""),
        ("Standard_Toaster", "The region offers no machines of size Standard_Toaster"),
        ("Standard_NC40ads_H100_v5", "The quota leaves 0 cores of the family StandardNCadsH100v5Family"),
        ("Standard_ND96asr_v4", ""),
    ],
)
def test_a_cluster_that_is_not_there_is_judged_by_what_the_region_offers(
    workspace: AzureWorkspace, size: str, said: str
) -> None:
    found = workspace.compute_problem(ComputeSpec("not-there", size, 2, 600))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_cluster_that_is_there_is_good_whatever_the_quota(ready: AzureWorkspace) -> None:
    assert ready.compute_problem(ComputeSpec("gpu-cluster", "STANDARD_NC4AS_T4_V3", 2, 600)) == ""
    found = ready.compute_problem(ComputeSpec("gpu-cluster", "Standard_DS2_v2", 2, 600))
    assert found.lower().startswith(
        "compute gpu-cluster has machines of size standard_nc4as_t4_v3, and the budget would"
    )


def test_a_registered_table_is_found(ready: AzureWorkspace) -> None:
    assert ready.has_table("nuts-train", "1")
    assert not ready.has_table("nuts-train", "7")


def test_codes_and_trials_of_a_failed_job_are_read(ready: AzureWorkspace, emulator: AzureML) -> None:
    name = "vl-nuts-00000000000e"
    fault = {"kind": "fail_job", "path": name, "message": "Nodes got pre-empted", "step": "train"}
    emulator.request("POST", "/emulator/faults", fault)
    ready.submit(spec(name))
    view = wait_for(lambda: ready.job(name), lambda v: v is not None and v.phase in ("completed", "failed"))
    assert view is not None
    assert list(view.codes) == ["SystemError"]
    trials = ready.trial_errors(name)
    assert [t.trial for t in trials] == [f"{name}_HD_0", f"{name}_HD_1"]
    assert trials[0].message == "Nodes got pre-empted"


def test_a_cancelled_job_ends_as_canceled_and_cancelling_again_is_fine(ready: AzureWorkspace) -> None:
    name = "vl-nuts-00000000000f"
    ready.submit(spec(name, parameters={"advanced_settings": '{"pause": 30}'}))
    ready.cancel(name)
    view = wait_for(lambda: ready.job(name), lambda v: v is not None and v.phase not in ("waiting", "running"))
    assert view is not None
    assert (view.status, view.phase) == ("Canceled", "canceled")
    ready.cancel(name)
    ready.cancel("vl-nuts-fffffffffff0")
