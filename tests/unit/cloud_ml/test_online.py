"""What the SDK sends for endpoints and slots, managed and on Kubernetes; and the tokens that the latter want."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from services.cloud import endpoint_token
from services.cloud.endpoint_token import bearer, with_tokens
from services.cloud.ml_online import online_deployment, online_endpoint
from services.cloud.ports.serving import DeploymentSpec
from services.cloud.scoring import EndpointScorer
from services.errors import Upstream
from tests.support.small_server import Handler, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import azure.ai.ml.entities  # noqa: F401

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
CLUSTER = f"{WORKSPACE}/computes/edge"
MODEL = f"{WORKSPACE}/models/vl-nuts/versions/3"


def spec(**changes: Any) -> DeploymentSpec:
    fields: dict[str, Any] = {
        "endpoint": "nuts",
        "slot": "blue",
        "model": "vl-nuts:3",
        "instance_type": "Standard_DS3_v2",
        "instance_count": 2,
        "request_timeout_seconds": 90,
        "max_concurrent_requests": 4,
        "tags": {"visionloop_run": "3"},
    }
    return DeploymentSpec(**fields | changes)


def sent(one: Any) -> dict[str, Any]:
    body: dict[str, Any] = one.serialize() if hasattr(one, "serialize") else one.as_dict()
    return json.loads(json.dumps(body, default=str))


def test_a_managed_endpoint_takes_the_apps_identity() -> None:
    properties = sent(online_endpoint("nuts", {"a": "b"})._to_rest_online_endpoint("westeurope"))["properties"]
    assert properties["authMode"] == "AADToken"
    assert properties.get("compute") is None


def test_an_endpoint_on_kubernetes_names_its_cluster_and_takes_tokens_of_its_own() -> None:
    body = sent(online_endpoint("nuts", {"a": "b"}, CLUSTER)._to_rest_online_endpoint("westeurope"))
    assert body["properties"]["authMode"] == "AMLToken"
    assert body["properties"]["compute"] == CLUSTER
    assert body["tags"] == {"a": "b"}


def test_a_slot_on_kubernetes_takes_the_clusters_machines() -> None:
    made = online_deployment(spec(cluster="edge", instance_type=""), MODEL)._to_rest_object("westeurope")
    body = sent(made)
    assert body["properties"]["endpointComputeType"] == "Kubernetes"
    assert body["properties"]["model"] == MODEL
    assert body["properties"].get("instanceType") is None
    assert body["sku"]["capacity"] == 2
    assert body["properties"]["livenessProbe"]["initialDelay"] == "PT10M"
    named = sent(online_deployment(spec(cluster="edge", instance_type="gpu"), MODEL)._to_rest_object("westeurope"))
    assert named["properties"]["instanceType"] == "gpu"


def test_a_managed_slot_takes_a_size_of_azures() -> None:
    body = sent(online_deployment(spec(), MODEL)._to_rest_object("westeurope"))
    assert body["properties"]["endpointComputeType"] == "Managed"
    assert body["properties"]["instanceType"] == "Standard_DS3_v2"
    assert body["properties"]["requestSettings"]["maxConcurrentRequestsPerInstance"] == 4


class Azure(Handler):
    """Gives tokens and takes images; what came is kept."""

    asked: list[tuple[str, str]]
    answers: dict[str, Any]

    def do_POST(self) -> None:
        self.body()
        self.asked.append((self.path, self.headers["authorization"]))
        found = self.answers["token"] if "/token" in self.path else [{"boxes": []}]
        status = found if isinstance(found, int) else 200
        self.answer(status, b"" if isinstance(found, int) else json.dumps(found).encode())


@pytest.fixture
def azure_ml(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Azure]]]:
    monkeypatch.setattr(endpoint_token, "token", lambda resource: f"identity for {resource}")
    monkeypatch.setattr(endpoint_token, "_tokens", {})
    handler = type("Handler", (Azure,), {"asked": [], "answers": {}})
    with serving(handler) as found:
        yield found, handler


def address(base: str) -> str:
    return with_tokens(f"{base}/score", f"{base}/", f"{WORKSPACE}/onlineEndpoints/nuts")


def test_a_slot_on_kubernetes_is_asked_with_its_endpoints_token(azure_ml: tuple[str, type[Azure]]) -> None:
    base, azure = azure_ml
    azure.answers["token"] = {"accessToken": "own", "refreshAfterTimeUtc": time.time() + 3600}
    for _ in range(3):
        assert EndpointScorer().score(address(base), "blue", [b"image"], deadline=60) == [{"boxes": []}]
    token_path = f"{WORKSPACE}/onlineEndpoints/nuts/token?api-version=2023-10-01"
    assert azure.asked == [
        (token_path, "Bearer identity for https://management.azure.com"),
        *[("/score", "Bearer own")] * 3,
    ]


def test_a_token_that_is_to_be_renewed_is(azure_ml: tuple[str, type[Azure]], monkeypatch: pytest.MonkeyPatch) -> None:
    base, azure = azure_ml
    azure.answers["token"] = {"accessToken": "own", "refreshAfterTimeUtc": 0}
    assert bearer(address(base)) == (f"{base}/score", "own")
    bearer(address(base))
    assert len(azure.asked) == 1  # a minute at least
    now = time.time()
    monkeypatch.setattr("services.cloud.endpoint_token.time.time", lambda: now + 61)
    bearer(address(base))
    assert len(azure.asked) == 2


@pytest.mark.parametrize("answer", [403, 500, {}, {"accessToken": "x", "refreshAfterTimeUtc": "soon"}, []])
def test_no_token_is_an_upstream_error_without_secrets(azure_ml: tuple[str, type[Azure]], answer: Any) -> None:
    base, azure = azure_ml
    azure.answers["token"] = answer
    with pytest.raises(Upstream) as error:
        bearer(address(base))
    assert "identity for" not in error.value.detail


def test_nobody_there_is_an_upstream_error(azure_ml: tuple[str, type[Azure]]) -> None:
    with pytest.raises(Upstream, match="No token of the endpoint could be had"):
        bearer(address("http://127.0.0.1:9"))


def test_a_managed_slot_takes_the_apps_identity(azure_ml: tuple[str, type[Azure]]) -> None:
    assert bearer("https://x.example/score") == ("https://x.example/score", "identity for https://ml.azure.com")
