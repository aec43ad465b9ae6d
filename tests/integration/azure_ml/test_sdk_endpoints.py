"""Endpoints, slots, traffic and scoring through the real azure-ai-ml."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.azure_ml_jobs import detection, wait_for, wait_for_job
from tests.support.azure_ml_process import AzureML

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations
IMAGE = {"input_data": {"columns": ["image"], "data": ["aGk="]}}


@pytest.fixture(scope="module")
def model(client: Any, prepared: None) -> str:
    """A registered model of a trained job."""
    from azure.ai.ml.entities import Model

    assert prepared is None
    client.jobs.create_or_update(detection("served-1"))
    wait_for_job(client, "served-1")
    path = "azureml://jobs/served-1_HD_0/outputs/artifacts/outputs/mlflow-model/"
    client.models.create_or_update(Model(name="served", version="1", type="mlflow_model", path=path))
    return "served:1"


@pytest.fixture(scope="module")
def endpoint(client: Any) -> str:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    made = ManagedOnlineEndpoint(name="cats-endpoint", auth_mode="aad_token", tags={"loop": "cats"})
    client.online_endpoints.begin_create_or_update(made).result(timeout=90)
    return "cats-endpoint"


def deploy(client: Any, endpoint: str, slot: str, model: str) -> None:
    from azure.ai.ml.entities import ManagedOnlineDeployment

    name, _, version = model.partition(":")
    deployment = ManagedOnlineDeployment(
        name=slot,
        endpoint_name=endpoint,
        model=client.models.get(name, version=version).id,
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )
    client.online_deployments.begin_create_or_update(deployment).result(timeout=60)


@pytest.fixture(scope="module")
def slots(client: Any, endpoint: str, model: str) -> tuple[str, ...]:
    for slot in ("blue", "green"):
        deploy(client, endpoint, slot, model)
    return ("blue", "green")


def set_traffic(client: Any, endpoint: str, traffic: dict[str, int]) -> None:
    found = client.online_endpoints.get(endpoint)
    found.traffic = traffic
    client.online_endpoints.begin_create_or_update(found).result(timeout=90)


def ask(emulator: AzureML, uri: str, slot: str | None = None, token: str | None = None) -> tuple[int, Any]:
    given = emulator.token("https://ml.azure.com") if token is None else token
    headers = {"authorization": f"Bearer {given}", **({"azureml-model-deployment": slot} if slot else {})}
    return emulator.request("POST", uri, IMAGE, headers)


def test_an_endpoint_is_made_and_shown(client: Any, endpoint: str, emulator: AzureML) -> None:
    found = client.online_endpoints.get(endpoint)
    assert found.provisioning_state == "Succeeded"
    assert (found.auth_mode, found.tags["loop"]) == ("aad_token", "cats")
    assert found.scoring_uri == f"{emulator.url}/online/{endpoint}/score"
    assert client.online_endpoints.get_keys(endpoint).access_token


def test_keys_and_tokens_of_an_endpoint_s_own(client: Any, emulator: AzureML) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    for name, mode in (("keyed-endpoint", "key"), ("token-endpoint", "aml_token")):
        made = ManagedOnlineEndpoint(name=name, auth_mode=mode)
        found = client.online_endpoints.begin_create_or_update(made).result(timeout=90)
        assert (found.auth_mode, found.provisioning_state) == (mode, "Succeeded")
    keyed, token = (client.online_endpoints.get(name).scoring_uri for name in ("keyed-endpoint", "token-endpoint"))
    before = client.online_endpoints.get_keys("keyed-endpoint")
    client.online_endpoints.begin_regenerate_keys("keyed-endpoint", key_type="primary").result(timeout=90)
    after = client.online_endpoints.get_keys("keyed-endpoint")
    assert (before.primary_key != after.primary_key, before.secondary_key) == (True, after.secondary_key)
    assert [ask(emulator, keyed, token=key)[0] for key in (before.primary_key, after.primary_key)] == [401, 404]
    own = client.online_endpoints.get_keys("token-endpoint")
    assert own.refresh_after_time_utc < own.expiry_time_utc
    assert [ask(emulator, token, token=one)[0] for one in (after.primary_key, own.access_token)] == [401, 404]
    for name in ("keyed-endpoint", "token-endpoint"):
        client.online_endpoints.begin_delete(name).result(timeout=90)


@pytest.mark.parametrize("name", ["x", "1cats", "cats_endpoint", "c" * 40, "cats-"])
def test_an_endpoint_s_name_has_rules(emulator: AzureML, name: str) -> None:
    body = {"location": "local", "properties": {"authMode": "AADToken"}, "identity": {"type": "SystemAssigned"}}
    status, answer = emulator.arm("PUT", f"onlineEndpoints/{name}", body)
    assert status == 400
    assert answer["error"]["message"]


def test_slots_are_deployed_without_traffic(
    client: Any, endpoint: str, slots: tuple[str, ...], emulator: AzureML
) -> None:
    assert sorted(d.name for d in client.online_deployments.list(endpoint)) == list(slots)
    assert client.online_deployments.get("blue", endpoint).provisioning_state == "Succeeded"
    uri = client.online_endpoints.get(endpoint).scoring_uri
    assert ask(emulator, uri)[0] >= 400
    for slot in slots:
        status, answer = ask(emulator, uri, slot)
        assert (status, answer[0]["boxes"][0]["label"]) == (200, "cat")
    assert "serving" in client.online_deployments.get_logs("blue", endpoint, lines=50)


def test_scoring_needs_a_token_and_a_slot_that_exists(
    client: Any, endpoint: str, slots: tuple[str, ...], emulator: AzureML
) -> None:
    uri = client.online_endpoints.get(endpoint).scoring_uri
    assert ask(emulator, uri, slots[0], token="")[0] == 401
    assert ask(emulator, uri, slots[0], token="made.up.token")[0] == 401
    assert ask(emulator, uri, "purple")[0] == 404
    assert emulator.request("POST", f"{emulator.url}/online/nope/score", IMAGE)[0] in {401, 404}


def test_traffic_moves_and_sums_to_a_hundred(
    client: Any, endpoint: str, slots: tuple[str, ...], emulator: AzureML
) -> None:
    from azure.core.exceptions import HttpResponseError

    assert slots
    set_traffic(client, endpoint, {"blue": 90, "green": 10})
    assert client.online_endpoints.get(endpoint).traffic == {"blue": 90, "green": 10}
    assert ask(emulator, client.online_endpoints.get(endpoint).scoring_uri)[0] == 200
    with pytest.raises(HttpResponseError) as found:
        set_traffic(client, endpoint, {"blue": 90, "green": 20})
    assert found.value.status_code == 400
    assert client.online_endpoints.get(endpoint).traffic == {"blue": 90, "green": 10}


def test_traffic_to_a_slot_that_is_not_there_is_refused(emulator: AzureML, endpoint: str) -> None:
    body = {
        "location": "local",
        "identity": {"type": "SystemAssigned"},
        "properties": {"authMode": "AADToken", "traffic": {"purple": 100}},
    }
    status, answer = emulator.arm("PUT", f"onlineEndpoints/{endpoint}", body, "2022-02-01-preview")
    assert status == 400
    assert "purple" in answer["error"]["message"]


def test_the_sdk_invokes_a_slot(client: Any, endpoint: str, slots: tuple[str, ...], tmp_path: Any) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"input_data": {"columns": ["image"], "data": ["aGk="]}}')
    answer = client.online_endpoints.invoke(endpoint, request_file=str(file), deployment_name=slots[1])
    assert '"cat"' in answer


def test_a_deployment_that_cannot_start_fails_and_is_replaced(
    client: Any, endpoint: str, model: str, emulator: AzureML
) -> None:
    from azure.core.exceptions import HttpResponseError

    rule = {"kind": "fail_deployment", "path": "purple", "message": "The image has no python"}
    assert emulator.request("POST", "/emulator/faults", rule)[0] == 200
    with pytest.raises(HttpResponseError):
        deploy(client, endpoint, "purple", model)
    assert client.online_deployments.get("purple", endpoint).provisioning_state == "Failed"
    client.online_deployments.begin_delete("purple", endpoint).result(timeout=90)
    deploy(client, endpoint, "purple", model)
    assert client.online_deployments.get("purple", endpoint).provisioning_state == "Succeeded"
    client.online_deployments.begin_delete("purple", endpoint).result(timeout=90)


def test_a_slot_comes_back_after_a_restart(
    client: Any, endpoint: str, slots: tuple[str, ...], emulator: AzureML
) -> None:
    uri = client.online_endpoints.get(endpoint).scoring_uri
    emulator.kill()
    emulator.start()
    answered = wait_for(lambda: ask(emulator, uri, slots[0]), lambda found: found[0] == 200)
    assert answered[1][0]["boxes"]
    assert client.online_endpoints.get(endpoint).traffic == {"blue": 90, "green": 10}


def test_a_slot_with_traffic_is_not_deleted_and_a_free_one_is(
    client: Any, endpoint: str, slots: tuple[str, ...], emulator: AzureML
) -> None:
    from azure.core.exceptions import ResourceNotFoundError

    path = f"onlineEndpoints/{endpoint}/deployments/{slots[0]}"
    assert emulator.arm("DELETE", path, version="2023-04-01-preview")[0] in {400, 409}
    set_traffic(client, endpoint, {"green": 100})
    client.online_deployments.begin_delete("blue", endpoint).result(timeout=90)
    with pytest.raises(ResourceNotFoundError):
        client.online_deployments.get("blue", endpoint)
    client.online_endpoints.begin_delete(endpoint).result(timeout=90)
    with pytest.raises(ResourceNotFoundError):
        client.online_endpoints.get(endpoint)
