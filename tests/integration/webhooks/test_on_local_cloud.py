"""The app itself on a local cloud: what a user of its HTTP surface sees, over a real queue and real storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from services.cloud.blobs import AzureBlobStore
from services.cloud.event_topic import AzureEventTopic
from services.cloud.ports.storage import MOST_QUEUE_BYTES
from services.cloud.queues import AzureQueue
from services.errors import Upstream
from services.settings import DELIVERY_QUEUE, read_settings
from services.state import Event
from services.webhooks.dispatch import Dispatcher
from services.webhooks.envelope import cloud_event
from services.webhooks.guard import Guard
from services.webhooks.log import FOLDER, LogRetention
from services.webhooks.registry import Registry
from tests.integration.webhooks.test_handshake_http import agreeing
from tests.support.cloud_process import CloudProcess, running_cloud
from tests.support.predictions import jpeg
from tests.support.receiver import receiving
from tests.support.stages import NOW


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    with running_cloud(tmp_path_factory.mktemp("local") / "cloud") as started:
        yield started


@pytest.fixture
def client(cloud: CloudProcess) -> Iterator[httpx.Client]:
    headers = {"x-functions-key": cloud.key}
    with httpx.Client(base_url=f"{cloud.urls['host']}/api", headers=headers, timeout=60) as found:
        yield found


def eventually(look: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < ends
        time.sleep(0.1)
    return found


def test_a_receiver_is_registered_tested_seen_in_the_log_and_removed(client: httpx.Client, cloud: CloudProcess) -> None:
    with receiving() as receiver:
        made = client.post("/webhooks", json={"url": receiver.url, "events": ["training.*"]})
        assert made.status_code == 201
        endpoint = made.json()
        receiver.secret = endpoint["secret"]
        asked = client.post(f"/webhooks/{endpoint['id']}/test")
        assert asked.status_code == 202
        assert eventually(receiver.ids) == {asked.json()["event"]}
        assert receiver.forged == []
        [event] = receiver.events
        published = httpx.get(event["dataschema"], timeout=60).raise_for_status()
        assert published.headers["content-type"].startswith("application/schema+json")
        Draft202012Validator(published.json()).validate(event["data"])

        def delivered() -> list[dict[str, Any]]:
            found = client.get(f"/webhooks/{endpoint['id']}/deliveries").json()["deliveries"]
            return [d for d in found if d["state"] == "delivered"]

        [logged] = eventually(delivered)
        assert logged["id"] == asked.json()["delivery"]
        assert [a["status"] for a in logged["attempts"]] == [204]
        again = client.post(f"/webhooks/{endpoint['id']}/deliveries/{logged['id']}/replay")
        assert (again.status_code, again.json()["event"]) == (202, asked.json()["event"])
        eventually(lambda: [d for d in delivered() if len(d["attempts"]) == 2])
        receiver.secret = client.post(f"/webhooks/{endpoint['id']}/rotate").json()["secret"]
        test = client.post(f"/webhooks/{endpoint['id']}/test").json()["event"]
        assert eventually(lambda: test in receiver.ids())
        assert receiver.forged == []
    listed = client.get("/webhooks").text
    assert endpoint["id"] in listed
    assert client.delete(f"/webhooks/{endpoint['id']}").status_code == 204
    assert client.get("/webhooks").json() == {"webhooks": []}
    key = receiver.secret.removeprefix("whsec_")
    assert key not in listed
    assert not [f for f in (cloud.folder / "logs").iterdir() if key in f.read_text(errors="replace")]


@pytest.mark.parametrize(("method", "headers", "rate"), [("GET", {}, 60), ("POST", {"WebHook-Allowed-Rate": "5"}, 5)])
def test_a_receiver_may_agree_later_without_any_key(
    client: httpx.Client, method: str, headers: dict[str, str], rate: int
) -> None:
    """As its administrator does who finds the address in the log."""
    with agreeing({"Allow": "POST"}) as (url, seen):
        made = client.post("/webhooks", json={"url": url, "handshake": True, "rate": 60}).json()
        assert (made["enabled"], made["agreed"]) == (False, None)
        asked = seen[0][2]
        assert asked["webhook-request-rate"] == "60"
        address = asked["webhook-request-callback"]
        forged = httpx.request(method, address + "x", headers=headers, timeout=60)
        assert (forged.status_code, forged.json()["type"]) == (403, "urn:visionloop:problem:bad-link")
        assert client.post(f"/webhooks/{made['id']}/test").status_code == 409
        given = httpx.request(method, address, headers=headers, timeout=60)
        assert (given.status_code, given.json()["per_minute"]) == (200, rate)
        assert client.post(f"/webhooks/{made['id']}/test").status_code == 202
        eventually(lambda: [m for m, _, _ in seen] == ["OPTIONS", "POST"])
    assert client.delete(f"/webhooks/{made['id']}").status_code == 204


@pytest.mark.parametrize("url", ["https://169.254.169.254/metadata", "http://10.0.0.1/", "https://user@example.com/"])
def test_a_receiver_inside_is_refused(client: httpx.Client, url: str) -> None:
    answer = client.post("/webhooks", json={"url": url})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("url: ")


def test_health_looks_at_real_storage(client: httpx.Client) -> None:
    assert client.get("/health", params={"deep": "true"}).json() == {
        "status": "ok",
        "version": "0.1.0",
        "storage": "ok",
    }


def test_the_page_and_health_need_no_key_and_everything_else_does(cloud: CloudProcess) -> None:
    with httpx.Client(base_url=f"{cloud.urls['host']}/api", timeout=60) as stranger:
        assert [stranger.get(path).status_code for path in ("/health", "/dashboard")] == [200, 200]
        for path in ("/status", "/loops/cards/status", "/loops/cards/problems", "/loops/cards/timeline", "/webhooks"):
            assert stranger.get(path).status_code == 401
        assert stranger.post("/loops/cards/predict", content=jpeg(40, 30)).status_code == 401


def test_a_loop_that_nobody_made_is_not_found(client: httpx.Client) -> None:
    for answer in (client.get("/loops/nobody/status"), client.post("/loops/nobody/predict", content=jpeg(40, 30))):
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:visionloop:problem:not-found"


def test_a_loop_without_a_model_says_how_far_it_is(client: httpx.Client, cloud: CloudProcess) -> None:
    """Uploaded as a user does; the event makes the loop known."""
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient

    account = cloud.environment["DataStorage__blobServiceUri"]
    with DefaultAzureCredential() as credential, ContainerClient(account, "visionloop-data", credential) as data:
        data.upload_blob("fruit/images/1.jpg", jpeg(40, 30))

    def answer() -> httpx.Response | None:
        found = client.post("/loops/fruit/predict", content=jpeg(40, 30))
        return found if found.status_code == 409 else None

    told = eventually(answer).json()
    assert told["type"] == "urn:visionloop:problem:no-champion"
    assert told["progress"]["of"] == 20
    assert client.get("/status").json()["loops"][0]["loop"] == "fruit"


def test_a_topic_takes_events_by_the_apps_identity(cloud: CloudProcess) -> None:
    """With the SDK's own credential, and the local cloud's managed identity."""
    event = Event(
        id="cards-1", source="/s", type="visionloop.loop.error", subject="cards", time=NOW, data={"loop": "x"}
    )
    topic = AzureEventTopic(f"{cloud.urls['event_grid']}/topics/own/api/events")
    assert topic.publish(cloud_event(event, "")) == (200, "", None)
    published = httpx.get(f"{cloud.urls['event_grid']}/emulator/topics/own/events", timeout=60).json()
    assert [one["id"] for one in published] == ["cards-1"]


def test_an_event_that_no_queue_takes_is_delivered_all_the_same(client: httpx.Client, cloud: CloudProcess) -> None:
    """Such as a data set's of a thousand classes; queued by real storage, delivered by the host."""
    settings = read_settings(cloud.environment)
    store = AzureBlobStore(settings.system_blob_uri, settings.system_container)
    registry = Registry(store, lambda: datetime.now(UTC), Guard(allow_local=True))
    counts = {f"a class with a name of some length, number {n}": n for n in range(1500)}
    told = {"loop": "large", "reason": "r", "annotations_per_class": counts}
    event = Event(id="large-1", source="/s", type="visionloop.dataset.registered", subject="large", time=NOW, data=told)
    with receiving() as receiver:
        endpoint = client.post("/webhooks", json={"url": receiver.url, "loops": ["large"]}).json()
        receiver.secret = endpoint["secret"]
        Dispatcher(registry, AzureQueue(settings.system_queue_uri, DELIVERY_QUEUE)).dispatch([event])
        eventually(receiver.ids)
        assert [found["data"] for found in receiver.events] == [told]
        assert receiver.forged == []
    assert client.delete(f"/webhooks/{endpoint['id']}").status_code == 204


def test_a_queue_takes_as_much_as_is_said_and_no_more(cloud: CloudProcess) -> None:
    queue = AzureQueue(read_settings(cloud.environment).system_queue_uri, DELIVERY_QUEUE)
    queue.send("x" * MOST_QUEUE_BYTES, delay=3600)
    with pytest.raises(Upstream):
        queue.send("x" * (MOST_QUEUE_BYTES + 1), delay=3600)


def test_real_storage_forgets_deliveries_in_time(client: httpx.Client, cloud: CloudProcess) -> None:
    settings = read_settings(cloud.environment)
    store = AzureBlobStore(settings.system_blob_uri, settings.system_container)
    with receiving() as receiver:
        endpoint = client.post("/webhooks", json={"url": receiver.url, "events": ["training.*"]}).json()
        receiver.secret = endpoint["secret"]
        asked = client.post(f"/webhooks/{endpoint['id']}/test").json()
        eventually(
            lambda: (
                [d["state"] for d in client.get(f"/webhooks/{endpoint['id']}/deliveries").json()["deliveries"]]
                == ["delivered"]
            )
        )
    others = {blob.name for blob in store.list() if not blob.name.startswith(FOLDER)}

    def sweep(days: float) -> int:
        return LogRetention(store, 30, lambda: datetime.now(UTC) + timedelta(days=days)).forget()

    assert sweep(29) == 0
    assert sweep(31) >= 1
    assert list(store.list(FOLDER)) == []
    assert others <= {blob.name for blob in store.list()}
    again = client.post(f"/webhooks/{endpoint['id']}/deliveries/{asked['delivery']}/replay")
    assert again.status_code == 404
    assert "are forgotten" in again.json()["detail"]
