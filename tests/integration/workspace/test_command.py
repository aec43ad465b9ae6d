"""A user's own script through the real azure-ai-ml: code upload, tables, metrics, model, slot, prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports.serving import DeploymentSpec
from services.cloud.ports.training import CommandJobSpec, JobView
from services.cloud.scoring import EndpointScorer
from services.decisions.failures import ran_out
from tests.integration.workspace.conftest import image
from tests.integration.workspace.test_workspace import CLUSTER, table, wait_for

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations

SCRIPT = """
import json, os, pathlib, sys
rows = [json.loads(line) for line in (pathlib.Path(sys.argv[1]) / "annotations.jsonl").read_text().splitlines()]
assert all(pathlib.Path(row["image_url"]).stat().st_size for row in rows)
print("trained on", len(rows), "with", os.environ["EPOCHS"])
out = pathlib.Path("outputs/mlflow-model")
if "--no-model" not in sys.argv:
    out.mkdir(parents=True)
    (out / "MLmodel").write_text("flavors: {}")
    manifest = {"task": "object_detection", "classes": ["cat"], "metrics": {}}
    (out / "manifest.json").write_text(json.dumps(manifest))
pathlib.Path("outputs/metrics.json").write_text(json.dumps({"accuracy": [0.5, 0.9], "images": len(rows)}))
"""
ENDED = ("completed", "failed", "canceled")


def submitted(workspace: AzureWorkspace, name: str, folder: Path, command: str, minutes: float = 30) -> JobView:
    (folder / "train.py").write_text(SCRIPT)
    spec = CommandJobSpec(
        name=name,
        experiment="visionloop-nuts",
        command=command,
        environment="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest",
        environment_variables={"EPOCHS": "3"},
        inputs={"train": "own-train:1", "validation": "own-validation:1"},
        compute="gpu-cluster",
        timeout_minutes=minutes,  # type: ignore[arg-type]
        tags={"visionloop_loop": "nuts"},
    )
    for _ in range(2):
        workspace.submit_command(spec, folder)
    view = wait_for(lambda: workspace.job(name), lambda v: v is not None and v.phase in ENDED)
    assert view is not None
    return view


def prepare(workspace: AzureWorkspace) -> None:
    workspace.register_table(table("own-train"))
    workspace.register_table(table("own-validation", "validation"))
    workspace.ensure_compute(CLUSTER)


def test_a_script_trains_a_model_that_serves(workspace: AzureWorkspace, tmp_path: Path) -> None:
    prepare(workspace)
    name = "vl-nuts-0000000000c1"
    view = submitted(workspace, name, tmp_path, "python train.py ${{inputs.train}} ${{inputs.validation}}")
    assert (view.phase, view.error) == ("completed", "")
    child = workspace.best_child(name)
    assert child is not None
    assert (child.run_id, child.metrics) == (name, {"accuracy": 0.9, "images": 12.0})
    [trial] = workspace.trials(name)
    assert (trial.name, trial.status) == (name, "completed")
    assert trial.metrics == {"accuracy": [(0, 0.5), (1, 0.9)], "images": [(0, 12.0)]}
    assert workspace.trials(name, {name}) == []
    workspace.register_model("own", "1", child.run_id, {})
    workspace.begin_endpoint("own-nuts", {})
    endpoint = wait_for(lambda: workspace.endpoint("own-nuts"), lambda e: e is not None and e.state == "succeeded")
    workspace.begin_deployment(DeploymentSpec("own-nuts", "blue", "own:1", "Standard_DS3_v2", 1, 20, 4))
    wait_for(lambda: workspace.deployment("own-nuts", "blue"), lambda d: d is not None and d.state == "succeeded")
    assert endpoint is not None
    assert EndpointScorer().score(endpoint.scoring_uri, "blue", [image(1)], deadline=60)


def test_a_script_that_wrote_no_model_is_told_at_registration(workspace: AzureWorkspace, tmp_path: Path) -> None:
    from services.errors import VisionloopError

    prepare(workspace)
    name = "vl-nuts-0000000000c2"
    assert submitted(workspace, name, tmp_path, "python train.py ${{inputs.train}} --no-model").phase == "completed"
    with pytest.raises(VisionloopError, match="no model in its outputs"):
        workspace.register_model("own", "2", name, {})


def test_a_script_that_exceeds_its_limit_is_cancelled(workspace: AzureWorkspace, tmp_path: Path) -> None:
    prepare(workspace)
    view = submitted(workspace, "vl-nuts-0000000000c3", tmp_path, "sleep 60", minutes=1 / 60)
    assert (view.phase, view.status, view.codes) == ("canceled", "Canceled", ("UserError",))
    assert view.error.startswith("The job exceeded its time limit of PT1")
    assert ran_out(view.started, view.ended, 1 / 60)  # type: ignore[arg-type]
