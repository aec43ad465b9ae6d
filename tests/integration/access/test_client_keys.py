"""Client keys over HTTP, through the host and real storage; only the slot is a stand-in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

from tests.support.cloud_process import CloudProcess, running_cloud
from tests.support.faked_app import make_folder
from tests.support.predictions import picture

APP = """
from services import wiring
from services.names import state_blob
from tests.support import faked_app
from tests.support.predictions import loop_state

names = ("clock", "settings", "system_store", "data_store", "states", "door", "key_console", "push", "controls")
real = {name: getattr(wiring, name) for name in names}
app = faked_app.load()
for name, service in real.items():
    setattr(wiring, name, service)
wiring.system_store().write(state_blob("cards"), loop_state().model_dump_json().encode())
"""
IMAGE = picture(200, 100)
PREDICT, KEYS = "/client/loops/cards/predict", "/loops/cards/keys"


@dataclass
class Running:
    """The cloud, an HTTP client without any key, and where logs are."""

    cloud: CloudProcess
    client: httpx.Client
    folder: Path

    def manage(self, method: str, path: str, body: object = None) -> httpx.Response:
        content = b"" if body is None else json.dumps(body).encode()
        return self.client.request(method, path, content=content, headers={"x-functions-key": self.cloud.key})

    def made(self, **asked: object) -> dict[str, Any]:
        answer = self.manage("POST", KEYS, asked)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        self.soon(
            lambda: self.client.get(f"/client/loops/cards/predictions/{'0' * 32}", headers=bearer(found)), 404, 403
        )
        return found

    @staticmethod
    def soon(ask: Callable[[], httpx.Response], *statuses: int) -> httpx.Response:
        ends = time.monotonic() + 120
        while (answer := ask()).status_code not in statuses:
            assert time.monotonic() < ends, answer.text
            time.sleep(0.1)
        return answer

    def stored(self) -> str:
        found = self.blobs("System", "access/")
        return "\n".join(name + data.decode() for name, data in found.items())

    def blobs(self, which: str, prefix: str) -> dict[str, bytes]:
        account = self.cloud.environment[f"{which}Storage__blobServiceUri"]
        with (
            DefaultAzureCredential() as credential,
            ContainerClient(account, f"visionloop-{which.lower()}", credential=credential) as container,
        ):
            names = list(container.list_blob_names(name_starts_with=prefix))
            return {name: container.download_blob(name).readall() for name in names}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("keys")
    app = make_folder(folder / "app")
    (app / "function_app.py").write_text(APP)
    environment = {
        "VISIONLOOP_SWEEP_SCHEDULE": "0 0 0 1 1 *",
        "VISIONLOOP_TEST_EFFECTS": str(folder / "effects"),
        "VISIONLOOP_EASY_AUTH": "true",
    }
    with (
        running_cloud(folder / "cloud", "--app", str(app), environment=environment) as cloud,
        httpx.Client(base_url=cloud.urls["host"] + "/api", timeout=60) as client,
    ):
        yield Running(cloud, client, folder)


def bearer(key: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {key['key']}"}


def test_the_host_lets_nobody_manage_keys_without_a_function_key(running: Running) -> None:
    key = running.made(scopes=["admin"])
    for method, path in (("GET", KEYS), ("POST", KEYS), ("DELETE", f"{KEYS}/{key['id']}")):
        assert running.client.request(method, path, content=b"", headers=bearer(key)).status_code == 401
    assert running.client.post("/loops/cards/predict", content=IMAGE, headers=bearer(key)).status_code == 401


def test_a_holder_predicts_and_is_counted(running: Running) -> None:
    key = running.made(name="till 7")
    answer = running.client.post(PREDICT, content=IMAGE, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"][0]["label"] == "ace"
    body = {
        "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(IMAGE).decode()]}]
    }
    inferred = running.client.post("/client/v2/models/cards/infer", json=body, headers={"x-api-key": key["key"]})
    assert {one["name"]: one["data"] for one in inferred.json()["outputs"]}["labels"] == ["ace"]
    ends = time.monotonic() + 120
    while True:
        [found] = [k for k in running.manage("GET", KEYS).json()["keys"] if k["id"] == key["id"]]
        if sum(found["used"].values()) == 2:
            break
        assert time.monotonic() < ends, found
        time.sleep(0.2)
    assert found["last_used"] > found["created"]
    assert {"key", "hash", "old"}.isdisjoint(found)


def test_a_holder_sends_images_and_labels(running: Running) -> None:
    label = {"visionloop": 1, "labels": [{"label": "ace", "box": [1, 2, 30, 40]}]}
    item = {"name": "till/7.jpg", "image": base64.b64encode(IMAGE).decode(), "label": label}
    sent = json.dumps({"items": [item]}).encode()
    key, other = running.made(scopes=["label"]), running.made(scopes=["predict"])
    assert running.client.post("/client/loops/cards/items", content=sent, headers=bearer(other)).status_code == 403
    answer = running.client.post("/client/loops/cards/items", content=sent, headers=bearer(key))
    assert answer.json()["files"] == ["images/till/7.jpg", "labels/till/7.json"], answer.text
    stored = running.blobs("Data", "cards/")
    assert stored["cards/images/till/7.jpg"] == IMAGE
    assert json.loads(stored["cards/labels/till/7.json"])["labels"] == label["labels"]


def test_an_administrator_of_a_loop_gives_orders_that_tell_the_key(running: Running) -> None:
    key = running.made(scopes=["admin"], per_minute=3)
    sent = b'{"by": "Ada", "why": "stocktaking"}'
    answers = [
        running.client.post(f"/client/loops/cards/{word}", content=sent, headers=bearer(key))
        for word in ("pause", "resume")
    ]
    assert [answer.status_code for answer in answers] == [202, 202], answers[0].text
    kept = json.loads(running.blobs("System", "commands/cards/")["commands/cards/pause.json"])
    assert (kept["action"], kept["order"]["by"]) == ("resume", f"Ada (key {key['id']})")


def test_a_prediction_made_later_is_found_below_the_same_address(running: Running) -> None:
    key = running.made()
    headers = {**bearer(key), "prefer": "respond-async", "content-type": "image/jpeg"}
    accepted = running.client.post(PREDICT, content=IMAGE, headers=headers)
    assert accepted.status_code == 202
    place = accepted.headers["location"]
    assert place == accepted.json()["path"]
    assert place.startswith("/api/client/loops/cards/predictions/")
    assert running.client.get(place.removeprefix("/api"), headers=bearer(key)).status_code in {200, 202}
    assert running.client.get(place.removeprefix("/api")).status_code == 401


def test_refusals_are_problem_documents(running: Running) -> None:
    label, limited = running.made(scopes=["label"]), running.made(per_minute=1)
    asked = [running.client.post(PREDICT, content=IMAGE, headers=bearer(limited)) for _ in range(2)]
    refused = {
        "unauthorized": running.client.post(PREDICT, content=IMAGE),
        "forbidden": running.client.post(PREDICT, content=IMAGE, headers=bearer(label)),
        "over-quota": asked[1],
    }
    assert asked[0].status_code == 200
    assert [answer.status_code for answer in refused.values()] == [401, 403, 429]
    for kind, answer in refused.items():
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith(f":{kind}")
    assert refused["unauthorized"].headers["www-authenticate"].startswith("Bearer")
    assert 1 <= int(refused["over-quota"].headers["retry-after"]) <= 60
    told = running.client.post("/client/v2/models/cards/infer", content=b"{}")
    assert (told.status_code, told.json()["error"]) == (401, told.json()["detail"])


def test_an_identity_of_easy_auth_comes_in_by_its_role(running: Running) -> None:
    def headers(role: str) -> dict[str, str]:
        claims = [{"typ": "oid", "val": "0000-7"}, {"typ": "roles", "val": role}]
        sent = json.dumps({"auth_typ": "aad", "claims": claims, "role_typ": "roles"})
        return {"x-ms-client-principal": base64.b64encode(sent.encode()).decode()}

    assert running.client.post(PREDICT, content=IMAGE, headers=headers("visionloop.predict")).status_code == 200
    assert running.client.post(PREDICT, content=IMAGE, headers=headers("visionloop.label")).status_code == 403


def test_a_rotation_after_a_leak_and_a_removal_end_a_key(running: Running) -> None:
    key = running.made()
    path = f"{KEYS}/{key['id']}"
    second = running.manage("POST", f"{path}/rotate", {"overlap_hours": 0}).json()
    assert (second["id"], second["key"] == key["key"]) == (key["id"], False)
    running.soon(lambda: running.client.post(PREDICT, content=IMAGE, headers=bearer(second)), 200)
    assert running.client.post(PREDICT, content=IMAGE, headers=bearer(key)).status_code == 401
    assert running.manage("DELETE", path).status_code == 204
    assert running.manage("DELETE", path).status_code == 404
    assert running.manage("POST", "/loops/nobody/keys").status_code == 404
    assert [k for k in running.manage("GET", KEYS).json()["keys"] if k["id"] == key["id"]] == []


def test_no_secret_is_in_storage_or_a_log(running: Running) -> None:
    key = running.made()
    running.client.post(PREDICT, content=IMAGE, headers=bearer(key))
    running.client.post(PREDICT, content=b"no image", headers=bearer(key))
    secret = key["key"].split("_", 2)[2]
    stored = running.stored()
    assert key["id"] in stored
    written = dict(files(running.folder))
    assert any(name.endswith(".log") for name in written)
    for text in (stored, *(data.decode("utf-8", "replace") for data in written.values())):
        assert secret not in text


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What lies there; a database that is just being written has files that come and go."""
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if file.is_file() and file.stat().st_size < 10_000_000:
                yield str(file), file.read_bytes()
