"""Statuses, headers and shapes as the service's own answers have them, in the SDK's recorded sessions.

https://github.com/Azure/azure-sdk-for-python/tree/main/sdk/ml/azure-ai-ml/tests
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure_ml.faults import Rule
from tests.support.azure_ml_app import BASE, CLUSTER, App
from tests.support.azure_ml_process import GROUP, SCOPE, SUBSCRIPTION, WORKSPACE

VERSION = "api-version=2024-01-01-preview"
ENDPOINT = {"authMode": "AADToken"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    found = App(tmp_path)
    yield found
    found.close()


def uri(folder: str) -> str:
    return f"azureml://datastores/system/paths/{folder}/"


def put_data(app: App, version: str, folder: str = "cats", **more: Any) -> Any:
    properties = {"dataUri": uri(folder), "dataType": "mltable", **more}
    return app.arm("PUT", f"data/cats/versions/{version}", properties)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MissingApiVersionParameter"),
        ("?api-version=", "MissingApiVersionParameter"),
        ("?api-version=latest", "InvalidApiVersionParameter"),
    ],
)
def test_a_request_without_an_api_version_is_refused(app: App, query: str, code: str) -> None:
    answer = app.ask("GET", f"{SCOPE}/jobs{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_new_version_tells_its_address_and_an_old_one_does_not(app: App) -> None:
    made = put_data(app, "1")
    assert made.status_code == 201
    assert made.headers["location"] == f"{BASE}{SCOPE}/data/cats/versions/1?{VERSION}"
    again = put_data(app, "1")
    assert (again.status_code, "location" in again.headers) == (200, False)


def test_a_data_asset_is_shown_with_its_whole_address(app: App) -> None:
    shown = put_data(app, "1").json()["properties"]
    place = f"subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/workspaces/{WORKSPACE}/datastores/system/paths/cats/"
    assert shown["dataUri"] == f"azureml://{place}"
    assert put_data(app, "1").status_code == 200
    assert app.arm("PUT", "data/cats/versions/1", shown).status_code == 200
    assert put_data(app, "1", "dogs").status_code == 409


def test_a_version_shows_what_nobody_said_and_when_it_was_changed(app: App) -> None:
    made = put_data(app, "1", tags=None).json()
    properties = made["properties"]
    assert (properties["isArchived"], properties["isAnonymous"], properties["tags"]) == (False, False, {})
    changed = put_data(app, "1", isArchived=True).json()["systemData"]
    assert changed["createdAt"] == made["systemData"]["createdAt"]
    assert changed["lastModifiedAt"] > made["systemData"]["lastModifiedAt"]


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer.json()["value"]]


def test_lists_show_what_their_view_asks_for(app: App) -> None:
    put_data(app, "1", isArchived=True)
    put_data(app, "2")

    def view(name: str) -> list[str]:
        return names(app.ask("GET", f"{SCOPE}/data/cats/versions?{VERSION}&listViewType={name}"))

    assert (view("ActiveOnly"), view("ArchivedOnly"), view("All")) == (["2"], ["1"], ["2", "1"])
    assert names(app.ask("GET", f"{SCOPE}/data?{VERSION}")) == ["cats"]
    assert app.ask("GET", f"{SCOPE}/data/cats/versions?{VERSION}&listViewType=Some").status_code == 400


def follow(app: App, path: str) -> list[list[str]]:
    """The names on each page."""
    found, following = [], path
    while following:
        answer = app.ask("GET", following)
        found.append(names(answer))
        following = answer.json().get("nextLink", "").removeprefix(BASE)
    return found


def test_long_lists_come_in_pages(app: App) -> None:
    for version in range(1, 66):
        put_data(app, str(version))
    path = f"{SCOPE}/data/cats/versions?{VERSION}"
    pages = follow(app, path)
    assert [len(page) for page in pages] == [30, 30, 5]
    assert [name for page in pages for name in page] == [str(version) for version in range(65, 0, -1)]
    assert [len(page) for page in follow(app, f"{path}&$top=40")] == [30, 10]
    assert follow(app, f"{path}&$top=1") == [["65"]]
    assert app.ask("GET", f"{path}&$skip=x").status_code == 400


def test_a_cluster_is_on_its_way_and_then_there_in_capitals(app: App) -> None:
    made = app.arm("PUT", "computes/gpu-cluster", CLUSTER)
    assert (made.status_code, made.json()["properties"]["provisioningState"]) == (201, "Creating")
    operation = app.ask("GET", made.headers["azure-asyncoperation"].removeprefix(BASE)).json()
    assert (operation["status"], operation["percentComplete"]) == ("Succeeded", 100.0)
    found = app.arm("GET", "computes/gpu-cluster").json()["properties"]
    assert (found["provisioningState"], found["properties"]["vmSize"]) == ("Succeeded", "STANDARD_NC4AS_T4_V3")
    assert found["properties"]["nodeStateCounts"]["idleNodeCount"] == 0
    app.arm("PUT", "computes/gpu-cluster", CLUSTER)
    assert app.arm("GET", "computes/gpu-cluster").json()["properties"]["createdOn"] == found["createdOn"]


def test_a_cluster_is_deleted_with_or_without_its_machines(app: App) -> None:
    app.arm("PUT", "computes/gpu-cluster", CLUSTER)
    path = f"{SCOPE}/computes/gpu-cluster?{VERSION}"
    assert app.ask("DELETE", path).status_code == 400
    deleted = app.ask("DELETE", f"{path}&underlyingResourceAction=Delete")
    assert (deleted.status_code, "azure-asyncoperation" in deleted.headers) == (202, True)
    assert app.ask("DELETE", f"{path}&underlyingResourceAction=Delete").status_code == 404


def test_a_new_endpoint_has_no_address_before_it_is_made(app: App) -> None:
    made = app.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    assert (made.status_code, made.json()["properties"]["provisioningState"]) == (201, "Creating")
    assert made.json()["properties"]["scoringUri"] is None
    assert made.headers["location"] == f"{BASE}{SCOPE}/onlineEndpoints/cats?{VERSION}"
    found = app.arm("GET", "onlineEndpoints/cats").json()["properties"]
    assert (found["provisioningState"], found["scoringUri"]) == ("Succeeded", f"{BASE}/online/cats/score")
    changed = app.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    assert (changed.status_code, changed.json()["properties"]["provisioningState"]) == (200, "Updating")


def endpoint(app: App, name: str, mode: str) -> None:
    assert app.arm("PUT", f"onlineEndpoints/{name}", {"authMode": mode}).status_code == 201


def scored(app: App, name: str, bearer: str) -> int:
    return app.ask("POST", f"/online/{name}/score", {}, authorization=f"Bearer {bearer}").status_code


def test_an_endpoint_s_own_tokens_end_and_open_no_other(app: App) -> None:
    endpoint(app, "cats", "AMLToken")
    endpoint(app, "dogs", "AMLToken")
    found = app.arm("POST", "onlineEndpoints/cats/token").json()
    assert found["tokenType"] == "Bearer"
    assert time.time() < found["refreshAfterTimeUtc"] < found["expiryTimeUtc"]
    assert (scored(app, "cats", found["accessToken"]), scored(app, "dogs", found["accessToken"])) == (404, 401)
    assert scored(app, "cats", app.token("https://ml.azure.com")) == 401
    endpoint(app, "keyed", "Key")
    key = app.arm("POST", "onlineEndpoints/keyed/listKeys").json()["primaryKey"]
    assert (scored(app, "keyed", key), scored(app, "keyed", "")) == (404, 401)
    bare = app.ask("POST", "/online/keyed/score", {}, authorization=key)
    assert (bare.status_code, bare.json()["error"]["code"]) == (403, "key_auth_bad_header_forbidden")
    assert app.arm("POST", "onlineEndpoints/keyed/token").status_code == 400


def test_a_key_is_replaced_alone(app: App) -> None:
    endpoint(app, "cats", "Key")
    before = app.arm("POST", "onlineEndpoints/cats/listKeys").json()
    replaced = app.ask("POST", f"{SCOPE}/onlineEndpoints/cats/regenerateKeys?{VERSION}", {"keyType": "Secondary"})
    assert (replaced.status_code, "location" in replaced.headers) == (202, True)
    after = app.arm("POST", "onlineEndpoints/cats/listKeys").json()
    assert after["primaryKey"] == before["primaryKey"]
    assert (scored(app, "cats", after["secondaryKey"]), scored(app, "cats", before["secondaryKey"])) == (404, 401)
    for body in ({"keyType": "Third"}, {}):
        path = f"{SCOPE}/onlineEndpoints/cats/regenerateKeys?{VERSION}"
        assert app.ask("POST", path, body).status_code == 400


def test_what_is_being_changed_is_not_changed_again(app: App) -> None:
    model = app.store_model()

    async def scenario() -> list[tuple[int, str]]:
        app.emulator.faults.rules.append(Rule(kind="slow_endpoint", path="^cats$", seconds=3600))
        place = f"{SCOPE}/onlineEndpoints/cats"
        made = await app.send("PUT", f"{place}?{VERSION}", {"properties": ENDPOINT})
        status = made.headers["azure-asyncoperation"].removeprefix(BASE)
        found = [(0, (await app.send("GET", status)).json()["status"])]
        for method, path, body in (
            ("PUT", place, {"properties": ENDPOINT}),
            ("DELETE", place, None),
            ("PUT", f"{place}/deployments/blue", {"properties": {"model": model}}),
        ):
            answer = await app.send(method, f"{path}?{VERSION}", body)
            found.append((answer.status_code, answer.json()["error"]["message"]))
        app.emulator.endpoints._settle("cats")
        found.append((0, (await app.send("GET", status)).json()["status"]))
        again = await app.send("PUT", f"{place}?{VERSION}", {"properties": ENDPOINT})
        return [*found, (again.status_code, "")]

    found = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert [status for status, _ in found] == [0, 409, 409, 409, 0, 200]
    assert (found[0][1], found[4][1]) == ("Updating", "Succeeded")
    assert all("in Creating provisioning state" in said for _, said in found[1:4])


def test_a_deployment_has_azure_s_limits(app: App) -> None:
    model = app.store_model()
    endpoint(app, "cats", "AADToken")
    settings = {"requestSettings": {"requestTimeout": "PT181S"}}
    refused = app.arm("PUT", "onlineEndpoints/cats/deployments/blue", {"model": model, **settings})
    assert (refused.status_code, "180" in refused.json()["error"]["message"]) == (400, True)
    refused = app.arm("PUT", "onlineEndpoints/cats/deployments/blue", {"model": model}, sku={"capacity": 51})
    assert (refused.status_code, "sku.capacity" in refused.json()["error"]["message"]) == (400, True)


def test_a_deletion_says_where_its_end_is_seen(app: App) -> None:
    app.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    deleted = app.arm("DELETE", "onlineEndpoints/cats")
    assert (deleted.status_code, deleted.json()) == (202, None)
    for header in ("azure-asyncoperation", "location"):
        assert app.ask("GET", deleted.headers[header].removeprefix(BASE)).status_code == 200


def test_an_operation_is_looked_at_with_a_token_only(app: App) -> None:
    made = app.arm("PUT", "computes/gpu-cluster", CLUSTER)
    place = made.headers["azure-asyncoperation"].removeprefix(BASE)
    assert app.ask("GET", place, authorization="Bearer x.y.z").status_code == 401


def test_operations_are_forgotten_in_time(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.azure_ml.operations.KEPT", 2)
    places = [app.arm("PUT", "computes/gpu-cluster", CLUSTER).headers["azure-asyncoperation"] for _ in range(3)]
    assert [app.ask("GET", p.removeprefix(BASE)).status_code for p in places] == [404, 200, 200]


def submitted(app: App, name: str = "job-1", **more: Any) -> Any:
    if app.arm("GET", "computes/gpu-cluster").status_code == 404:
        app.arm("PUT", "computes/gpu-cluster", CLUSTER)
        app.store_data()
    answer = app.arm("PUT", f"jobs/{name}", {**app.job(), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_job_shows_what_azure_adds(app: App) -> None:
    assert submitted(app, "job-0")["systemData"]["createdByType"] == "User"
    properties = submitted(app)["properties"]
    assert {"Tracking", "Studio"} == set(properties["services"])
    assert (properties["isArchived"], properties["displayName"]) == (False, "job-1")
    assert properties["properties"]["runTemplate"] == "AutoML"


def test_a_job_is_archived_and_noted_on_by_writing_it_as_shown(app: App) -> None:
    shown = submitted(app, tags={"a": "1"})["properties"]
    changed = {**shown, "isArchived": True, "displayName": "Old", "tags": {"a": "2"}}
    assert app.arm("PUT", "jobs/job-1", changed).status_code == 200
    found = app.arm("GET", "jobs/job-1").json()["properties"]
    assert (found["isArchived"], found["displayName"], found["tags"]) == (True, "Old", {"a": "2"})
    assert found["status"] == shown["status"]
    other = {**changed, "experimentName": "dogs"}
    assert app.arm("PUT", "jobs/job-1", other).status_code == 409


def test_jobs_are_listed_by_view_type_and_tag(app: App) -> None:
    for name, properties in (("job-1", {"tags": {"a": "1"}}), ("job-2", {"tags": {"a": "2"}}), ("job-3", {})):
        submitted(app, name, **properties)
    app.arm("PUT", "jobs/job-3", {**app.job(), "isArchived": True})

    def listed(query: str) -> list[str]:
        return names(app.ask("GET", f"{SCOPE}/jobs?{VERSION}&{query}"))

    assert listed("") == ["job-2", "job-1"]
    assert listed("listViewType=All") == ["job-3", "job-2", "job-1"]
    assert (listed("tag=a=1"), listed("tag=a"), listed("tag=b")) == (["job-1"], ["job-2", "job-1"], [])
    assert (listed("jobType=Command"), listed("jobType=AutoML")) == ([], ["job-2", "job-1"])
