"""An endpoint whose changes take their time, as Azure's do: the product comes again later instead of failing."""

from __future__ import annotations

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports.serving import DeploymentSpec, EndpointView
from services.errors import NotFound, UpstreamBusy
from tests.support.azure_ml_process import AzureML

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations
NAME = "nuts-slow"


def settled(workspace: AzureWorkspace, emulator: AzureML) -> EndpointView:
    """A power cut ends what goes on: afterwards it is found done."""
    emulator.kill()
    emulator.start()
    found = workspace.endpoint(NAME)
    assert found is not None
    assert found.state == "succeeded"
    return found


def slow(emulator: AzureML) -> None:
    fault = {"kind": "slow_endpoint", "path": f"^{NAME}$", "seconds": 3600}
    assert emulator.request("POST", "/emulator/faults", fault)[0] == 200


def test_what_goes_on_at_an_endpoint_is_waited_for(workspace: AzureWorkspace, emulator: AzureML) -> None:
    deployment = DeploymentSpec(NAME, "blue", "nuts-none:1", "Standard_DS3_v2", 1, 90, 2, {})
    slow(emulator)
    workspace.begin_endpoint(NAME, {"visionloop_loop": "nuts"})
    made = workspace.endpoint(NAME)
    assert made is not None
    assert (made.state, made.scoring_uri) == ("creating", "")
    workspace.begin_endpoint(NAME, {"visionloop_loop": "nuts"})
    for act in (lambda: workspace.begin_deployment(deployment), lambda: workspace.begin_traffic(NAME, {})):
        with pytest.raises(UpstreamBusy, match="in Creating provisioning state"):
            act()
    assert settled(workspace, emulator).scoring_uri.startswith(emulator.url)
    with pytest.raises(NotFound, match="nuts-none"):
        workspace.begin_deployment(deployment)
    slow(emulator)
    workspace.begin_traffic(NAME, {})
    with pytest.raises(UpstreamBusy, match="in Updating provisioning state"):
        workspace.begin_deployment(deployment)
    assert settled(workspace, emulator).scoring_uri.startswith(emulator.url)
