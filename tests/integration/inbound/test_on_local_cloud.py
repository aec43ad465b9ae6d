"""Labels that other systems send become labels of the loop: over HTTP, real storage and its events."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient
from standardwebhooks import Webhook

from services.names import digest
from tests.support.cloud_process import CloudProcess, running_cloud
from tests.support.fake_cvat import TOKEN, Answer, fake_cvat
from tests.support.predictions import picture
from tests.support.timing import quickest
from tests.support.user import User

SECONDS = 1.0
"""What Label Studio waits for an answer."""
RECTANGLE = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["ace"]}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    often = {"VISIONLOOP_SWEEP_SCHEDULE": "*/5 * * * * *"}  # else a test would wait a minute for the timer, twice
    with running_cloud(tmp_path_factory.mktemp("local") / "cloud", environment=often) as started:
        yield started


@pytest.fixture(scope="module")
def user(cloud: CloudProcess) -> Iterator[User]:
    found = User(cloud, "cards")
    found.upload("loop.yaml", b"task: object_detection\npaused: true\n")
    for name in ("1.png", "2.png"):
        found.upload(f"images/{name}", picture(200, 100 + int(name[0])))
    eventually(lambda: found.status()["images"] == 2)
    yield found
    found.close()


def soon(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer; it takes less than a second, or, where the machine was busy, that of a repetition does."""
    answers: list[httpx.Response] = []
    took = quickest(lambda: answers.append(ask()), SECONDS, time.monotonic)
    assert took < SECONDS
    return answers[0]


def failures(user: User, source: str) -> list[dict[str, Any]]:
    """What was told of a source; the state that the status shows is kept a moment before."""
    found: list[dict[str, Any]] = eventually(
        lambda: [
            event["data"]
            for event in user.timeline()
            if event["type"] == "visionloop.inbound.failed" and event["data"]["inbound"] == source
        ]
    )
    return found


def eventually(look: Callable[[], Any]) -> Any:
    ends, said = time.monotonic() + 120, "nothing"
    while time.monotonic() < ends:
        try:
            if found := look():
                return found
        except httpx.HTTPStatusError as error:
            said = error.response.text
        time.sleep(0.2)
    raise AssertionError(f"it did not come to be: {said}")


@pytest.fixture
def outside(cloud: CloudProcess) -> Iterator[httpx.Client]:
    """Somebody without a function key."""
    with httpx.Client(base_url=cloud.urls["host"], timeout=60) as found:
        yield found


def source(user: User, kind: str, **more: str) -> dict[str, Any]:
    made = user.post("/inbound", json={"kind": kind, "loop": user.loop, **more})
    assert made.status_code == 201
    found: dict[str, Any] = made.json()
    return found


def test_a_label_studio_annotation_counts_and_its_deletion_uncounts_it(user: User, outside: httpx.Client) -> None:
    made = source(user, "label_studio")
    result = {"id": "a", "type": "rectanglelabels", "value": RECTANGLE, "original_width": 200, "original_height": 101}
    annotation = {"id": 17, "task": 5, "result": [result], "updated_at": "2026-01-01T10:00:00Z"}
    task = {"id": 5, "data": {"image": "azure-blob://visionloop-data/cards/images/1.png"}}
    created = {"action": "ANNOTATION_CREATED", "annotation": annotation, "task": task}
    headers = {"x-visionloop-secret": made["secret"]}
    outside.post(made["path"], json={"action": "PROJECT_UPDATED"}, headers=headers)  # the first one imports
    answer = soon(lambda: outside.post(made["path"], json=created, headers=headers))
    assert (answer.status_code, answer.json()["files"]) == (200, ["labels/label-studio/1.json"])
    eventually(lambda: user.status()["labelled"] == 1)
    deleted = {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 17}]}
    assert outside.post(made["path"], json=deleted, headers=headers).status_code == 200
    eventually(lambda: user.status()["labelled"] == 0)
    forged = outside.post(made["path"], json=created, headers={"x-visionloop-secret": "whsec_x"})
    assert (forged.status_code, forged.json()["type"]) == (403, "urn:visionloop:problem:forged")


def test_a_signed_message_brings_an_image_with_its_label_once(
    user: User, outside: httpx.Client, cloud: CloudProcess
) -> None:
    made = source(user, "generic")
    label = {"visionloop": 1, "labels": [{"label": "ace", "box": [10, 20, 60, 80]}]}
    item = {"name": "shelf/3.png", "image": base64.b64encode(picture(120, 90)).decode(), "label": label}
    body = json.dumps({"items": [item]})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(made["secret"]).sign("m1", now, body),
    }
    taken = [outside.post(made["path"], content=body, headers=headers).json()["taken"] for _ in range(2)]
    assert taken == [True, False]
    eventually(lambda: (user.status()["images"], user.status()["labelled"]) == (3, 1))
    changed = outside.post(made["path"], content=body.replace("ace", "two"), headers=headers)
    assert changed.status_code == 403
    key = made["secret"].removeprefix("whsec_")
    assert not [f for f in (cloud.folder / "logs").iterdir() if key in f.read_text(errors="replace")]


def test_what_was_kept_and_whose_workers_died_is_taken_or_told(user: User, cloud: CloudProcess) -> None:
    """As it is left where every attempt at its queue message was killed, and the host has called that poison."""
    made, before = source(user, "label_studio"), user.status()["labelled"]
    headers = {"x-visionloop-secret": made["secret"]}
    with system_of(cloud) as system:
        leave(system, made["id"], drawn(90, "2.png"), begun=5)
        eventually(lambda: user.status()["labelled"] == before + 1)
        leave(system, made["id"], drawn(91, "1.png"), begun=60, again=12)
        eventually(lambda: [p for p in user.status()["problems"] if "60 attempts at it began" in p["found"]])
        eventually(lambda: [e for e in user.timeline() if given_up(e, made["id"])])
        eventually(lambda: [*system.list_blob_names(name_starts_with=f"inbound/{made['id']}/bodies/")] == [])
    with httpx.Client(base_url=cloud.urls["host"], timeout=60) as outside:
        assert outside.post(made["path"], json=drawn(92, "1.png"), headers=headers).json()["taken"]
    eventually(lambda: not [p for p in user.status()["problems"] if p["code"] == "inbound-failed"])
    eventually(lambda: user.status()["labelled"] == before + 2)


def given_up(event: dict[str, Any], source: str) -> bool:
    data = event["data"]
    return (
        event["type"] == "visionloop.inbound.failed"
        and data["inbound"] == source
        and "it is not tried again" in data["reason"]
    )


def drawn(number: int, image: str) -> dict[str, Any]:
    """A message of Label Studio about a box in an image."""
    result = {"id": "a", "type": "rectanglelabels", "value": RECTANGLE, "original_width": 200}
    result["original_height"] = 100 + int(image[0])
    annotation = {"id": number, "task": number, "result": [result], "updated_at": "2026-01-01T10:00:00Z"}
    task = {"id": number, "data": {"image": f"cards/images/{image}"}}
    return {"action": "ANNOTATION_CREATED", "annotation": annotation, "task": task}


def leave(system: ContainerClient, source: str, message: dict[str, Any], **tried: Any) -> None:
    """A message that is kept, with what is known of the attempts at it; the time for them is over."""
    body = json.dumps(message).encode()
    name = f"inbound/{source}/bodies/{hashlib.sha256(body).hexdigest()}"
    etag = system.upload_blob(f"{name}.json", body).get_blob_properties().etag.strip('"')
    known = {"etag": etag, "due": "2026-01-01T10:15:00Z", **tried}
    system.upload_blob(f"{name}.tried.json", json.dumps(known).encode())


@contextmanager
def system_of(cloud: CloudProcess) -> Iterator[ContainerClient]:
    environment = cloud.environment
    account, container = environment["SystemStorage__blobServiceUri"], environment["VISIONLOOP_SYSTEM_CONTAINER"]
    with DefaultAzureCredential() as credential, ContainerClient(account, container, credential) as found:
        yield found


def test_label_studio_is_told_that_no_model_is_live_yet(user: User, outside: httpx.Client) -> None:
    made = source(user, "label_studio")
    backend, auth = f"/api/label-studio/{made['id']}", ("anybody", made["secret"])
    assert outside.get(f"{backend}/health").status_code == 403
    assert outside.get(f"{backend}/health", auth=auth).json()["status"] == "UP"
    assert outside.post(f"{backend}/setup", json={"project": "1.1"}, auth=auth).json() == {"model_version": "cards"}
    config = '<View><RectangleLabels name="label" toName="image"/></View>'
    asked = {"tasks": [{"id": 5, "data": {"image": "cards/images/1.png"}}], "label_config": config}
    answer = outside.post(f"{backend}/predict", json=asked, auth=auth)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:visionloop:problem:no-champion")


def test_a_completed_job_of_cvat_becomes_labels_and_its_failure_a_problem(user: User, cloud: CloudProcess) -> None:
    """A server that is away is said at once where it refuses, asked again, and the labels count once it answers."""
    refusing: list[Answer] = [(403, {}, b"")]
    seen = threading.Event()

    def refused_once(_: str) -> Answer | None:
        if refusing:
            return refusing.pop()
        seen.wait(50)  # or the next attempt, seconds later, might end the problem before anybody looked
        return None

    with fake_cvat() as cvat:
        made = source(user, "cvat", address=cvat.url, token=TOKEN)
        for frame, name in zip(cvat.meta["frames"], ("4.png", "5.png", "6.png", "7.png", "8.png"), strict=True):
            frame.update(name=f"cards/images/cvat/{name}", width=640, height=480)
        user.upload("images/cvat/4.png", picture(640, 480))
        cvat.answer = refused_once
        before, now = user.status()["labelled"], datetime.now(UTC).isoformat()
        path = cloud.urls["host"] + made["path"]
        answer = soon(lambda: cvat.complete(path, made["secret"], updated_date=now))
        assert (answer.status_code, answer.json()["taken"]) == (200, True)
        [problem] = eventually(lambda: [p for p in user.status()["problems"] if p["code"] == "inbound-failed"])
        assert "403" in problem["found"]
        seen.set()
        eventually(lambda: user.status()["labelled"] == before + 1)
        eventually(lambda: user.status()["catalogue"]["waiting_labels"] == 2)
        eventually(lambda: "inbound-failed" not in [p["code"] for p in user.status()["problems"]])
        assert len(failures(user, made["id"])) == 1
        again = cvat.complete(path, made["secret"], updated_date=now)
        forged = cvat.complete(path, "whsec_x")
    assert (again.json()["taken"], forged.status_code) == (False, 403)
    assert not [f for f in (cloud.folder / "logs").iterdir() if TOKEN in f.read_text(errors="replace")]


def test_regions_of_a_task_with_two_images_go_to_their_own(user: User, outside: httpx.Client) -> None:
    """By the labelling configuration in a message, and by the names of the data in an export; or it is told."""
    images = user.status()["images"]
    for name in ("back", "side"):
        user.upload(f"images/pair/{name}.png", picture(200, 110))
    eventually(lambda: user.status()["images"] == images + 2)
    before, made = user.status(), source(user, "label_studio")
    config = '<View><Image name="one" value="$front"/><Image name="two" value="$back"/></View>'
    message = drawn(93, "1.png") | {"project": {"id": 2, "label_config": config}}
    message["annotation"]["result"][0] |= {"to_name": "two", "original_height": 110}
    message["task"]["data"] = {name: f"cards/images/pair/{name}.png" for name in ("front", "back")}
    answer = outside.post(made["path"], json=message, headers={"x-visionloop-secret": made["secret"]})
    assert answer.json()["files"] == ["labels/label-studio/pair/back.json"]
    eventually(lambda: user.status()["labelled"] == before["labelled"] + 1)
    data = {name: f"cards/images/pair/{name}.png" for name in ("front", "side")}
    told, untold = ([{**message["annotation"]["result"][0], "to_name": name}] for name in ("side", "img"))
    tasks = [{"id": n, "data": data, "annotations": [{"id": n, "result": r}]} for n, r in enumerate((told, untold))]
    user.upload("labels/pairs.json", json.dumps(tasks).encode())
    after = eventually(lambda: found if (found := user.status())["labelled"] == before["labelled"] + 2 else None)
    assert after["catalogue"]["waiting_labels"] == before["catalogue"]["waiting_labels"], "none is the front's"
    [problem] = eventually(lambda: [p for p in user.status()["problems"] if p["code"] == "label-studio-structure"])
    assert problem["place"] == "[1].annotations[0].result[0]"


def test_what_a_source_and_a_webhook_were_given_is_cleared_by_null(user: User, cloud: CloudProcess) -> None:
    made = source(user, "cvat", address="http://127.0.0.1:9/", token=TOKEN, description="of the line")
    hook = user.post("/webhooks", json={"url": "http://127.0.0.1:9/", "rate": 60, "events": ["training.*"]}).json()
    with httpx.Client(base_url=f"{cloud.urls['host']}/api", headers={"x-functions-key": cloud.key}) as client:
        shown = client.patch(f"/inbound/{made['id']}", json={"address": None, "description": None}).json()
        assert (shown["address"], shown["description"]) == ("", "")
        shown = client.patch(f"/webhooks/{hook['id']}", json={"rate": None, "events": None}).json()
        assert (shown["rate"], shown["events"]) == (None, [])
        assert client.patch(f"/webhooks/{hook['id']}", json={"url": None}).status_code == 400
        client.delete(f"/webhooks/{hook['id']}").raise_for_status()


def test_labels_of_deleted_tasks_stay_and_are_told(user: User, outside: httpx.Client) -> None:
    made, headers = source(user, "label_studio"), {}
    headers["x-visionloop-secret"] = made["secret"]
    assert outside.post(made["path"], json=drawn(94, "2.png"), headers=headers).json()["taken"]
    labelled = eventually(lambda: user.status()["labelled"])
    gone = {"action": "TASKS_DELETED", "tasks": [{"id": 94}], "project": {"id": 2}}
    assert soon(lambda: outside.post(made["path"], json=gone, headers=headers)).json()["taken"]
    [problem] = eventually(lambda: [p for p in user.status()["problems"] if p["code"] == "inbound-failed"])
    assert "labels/label-studio/2.json" in problem["found"]
    assert len(failures(user, made["id"])) == 1
    assert user.status()["labelled"] == labelled


def test_what_one_source_deletes_another_still_has(user: User, outside: httpx.Client) -> None:
    """Two projects that both number from 1 and are about one image."""
    one, other = source(user, "label_studio"), source(user, "label_studio")
    user.upload("images/5.png", picture(200, 105))
    before = user.status()["labelled"]

    def send(made: dict[str, Any], message: dict[str, Any]) -> None:
        answer = outside.post(made["path"], json=message, headers={"x-visionloop-secret": made["secret"]})
        assert (answer.status_code, answer.json()["files"]) == (200, ["labels/label-studio/5.json"])

    send(one, drawn(1, "5.png"))
    send(other, drawn(1, "5.png"))
    eventually(lambda: user.status()["labelled"] == before + 1)
    send(one, {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}]})
    assert [*user.files("labels/label-studio/5")] == [".json"]
    send(other, {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}]})
    eventually(lambda: user.status()["labelled"] == before)
    assert [*user.files("labels/label-studio/5")] == []


def test_a_name_that_no_blob_may_have_is_told_at_once(user: User, outside: httpx.Client) -> None:
    made = source(user, "label_studio")
    message = drawn(1, "1.png")
    message["task"]["data"]["image"] = f"cards/images/{'a/' * 250}1.png"
    answer = outside.post(made["path"], json=message, headers={"x-visionloop-secret": made["secret"]})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:visionloop:problem:bad-request")
    eventually(lambda: [p for p in user.status()["problems"] if "no path of an image" in p["found"]])


def test_of_many_annotations_the_right_ones_are_taken_and_the_wrong_ones_told(
    user: User, outside: httpx.Client
) -> None:
    made, each = source(user, "label_studio"), [drawn(n, f"{n}.png") for n in (1, 2)]
    each[1]["task"]["data"] = {"text": "no image"}
    message = {"action": "ANNOTATIONS_CREATED", **{name: [m[name] for m in each] for name in ("annotation", "task")}}
    answer = outside.post(made["path"], json=message, headers={"x-visionloop-secret": made["secret"]})
    assert (answer.status_code, answer.json()["taken"]) == (200, True)
    eventually(lambda: [p for p in user.status()["problems"] if p["found"].startswith("task.data: the path")])
    assert [told["reason"][:20] for told in failures(user, made["id"])] == ["1 of 2 annotations o"]


def test_labels_that_are_sent_are_written_over_each_other_in_their_order(
    user: User, cloud: CloudProcess, outside: httpx.Client
) -> None:
    """A message that was cut off comes again after a newer one; and `5.webp` does not take the label of `5.png`."""
    made = source(user, "generic")

    def send(message: str, name: str, label: str) -> Any:
        item = {"name": name, "label": {"visionloop": 1, "labels": [{"label": label, "box": [1, 2, 30, 40]}]}}
        body, now = json.dumps({"items": [item]}), datetime.now(UTC)
        signature = Webhook(made["secret"]).sign(message, now, body)
        stamp = str(int(now.timestamp()))
        headers = {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}
        return outside.post(made["path"], content=body, headers=headers).json()

    assert send("m1", "sent/5.png", "old")["files"] == ["labels/sent/5.json"]
    assert send("m2", "sent/5.png", "new")["files"] == ["labels/sent/5.json"]
    assert send("m3", "sent/5.webp", "other")["files"] == ["labels/sent/5.webp.json"]
    with system_of(cloud) as system:
        key = digest("m1", length=32)
        shelf = system.get_blob_client(f"inbound/{made['id']}/taken/{key[:3]}.json")
        noted = json.loads(shelf.download_blob().readall())
        shelf.upload_blob(json.dumps({"at": {}, "begun": {key: noted["at"][key]}}), overwrite=True)
    assert send("m1", "sent/5.png", "old")["files"] == []
    found = {name: each["labels"][0]["label"] for name, each in user.files("labels/sent/").items()}
    assert found == {"5.json": "new", "5.webp.json": "other"}
