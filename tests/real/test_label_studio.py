"""An installed Label Studio, connected by the steps of docs/label-studio.md; only the slot of the model stands in.

`python3 dev.py test --label-studio` installs it and runs this; it takes minutes, most of them Label Studio's start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cloud_process import CloudProcess, running_cloud
from tests.support.faked_app import make_folder
from tests.support.label_studio import LabelStudio, label_studio
from tests.support.predictions import picture
from tests.support.user import User

APP = """
from services import wiring
from services.cloud.fakes import FakeAsyncScorer
from services.names import state_blob
from tests.support import faked_app
from tests.support.predictions import loop_state

scorer = FakeAsyncScorer(lambda slot, image: faked_app.SCORED)
wiring.async_scorer = lambda: scorer
app = faked_app.product()
state = loop_state()
try:
    wiring.system_store().write(state_blob(state.loop), state.model_dump_json().encode(), create=True)
except Exception as error:  # a second process of the app
    print(error)
"""
CONFIG = (
    '<View><Image name="pic" value="$image"/><RectangleLabels name="card" toName="pic"><Label value="ace"/>'
    '<Label value="jack"/></RectangleLabels></View>'
)
STORED = "azure-blob://visionloop-data/cards/images/"
"""How Label Studio's Azure source storage names the loop's images."""
pytestmark = pytest.mark.timeout(600)


@dataclass
class Connected:
    """A project, and what the loop knows of it."""

    studio: LabelStudio
    user: User
    cloud: CloudProcess
    project: int
    tasks: dict[str, int]
    backend: dict[str, Any]
    source: dict[str, Any]

    def labels(self) -> dict[str, list[str]]:
        """Classes by label file."""
        found = self.user.files("labels/label-studio/")
        return {name: [label["label"] for label in content.get("labels", [])] for name, content in found.items()}

    def soon(self, expected: dict[str, list[str]]) -> None:
        ends = time.monotonic() + 30
        while (found := self.labels()) != expected:
            assert time.monotonic() < ends, f"{found} instead of {expected}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    folder = tmp_path_factory.mktemp("loop")
    app = make_folder(folder / "app")
    (app / "function_app.py").write_text(APP)
    with running_cloud(folder / "cloud", "--app", str(app)) as started:
        yield started


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    program = Path(os.environ["VISIONLOOP_LABEL_STUDIO"])
    with label_studio(program, tmp_path_factory.mktemp("label-studio")) as found:
        yield found


@pytest.fixture(scope="module")
def connected(cloud: CloudProcess, studio: LabelStudio) -> Iterator[Connected]:
    """The steps of docs/label-studio.md; where they are of Azure's storage, tasks as that storage makes them."""
    user, host = User(cloud, "cards"), cloud.urls["host"]
    user.upload("loop.yaml", b"task: object_detection\npaused: true\n")
    images = {f"{n}.png": picture(200, 100 + n, "PNG") for n in range(1, 6)}
    for name, data in images.items():
        user.upload(f"images/{name}", data)
    project = studio.ask("POST", "/projects", json={"title": "cards", "label_config": CONFIG})["id"]
    imported = [{"image": f"{STORED}{name}"} for name in ("1.png", "2.png", "3.png", "4.png")]
    studio.ask("POST", f"/projects/{project}/import", json=imported)
    uploaded = {"file": ("5.png", images["5.png"], "image/png")}
    studio.ask("POST", f"/projects/{project}/import", files=uploaded)
    source = user.post("/inbound", json={"kind": "label_studio", "loop": "cards"}).json()
    actions = ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]
    hook = {"project": project, "url": host + source["path"], "headers": {"x-visionloop-secret": source["secret"]}}
    studio.ask("POST", "/webhooks/", json={**hook, "send_for_all_actions": False, "actions": actions})
    model = {"project": project, "url": f"{host}/api/label-studio/{source['id']}", "title": "Visionloop"}
    basic = {"auth_method": "BASIC_AUTH", "basic_auth_user": "visionloop", "basic_auth_pass": source["secret"]}
    backend = studio.ask("POST", "/ml", json={**model, **basic})
    yield Connected(studio, user, cloud, project, studio.tasks(project), backend, source)
    user.close()


def result(label: str) -> list[dict[str, Any]]:
    """What its editor makes of a drawn rectangle."""
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": [label]}
    return [{"id": "b1", "from_name": "card", "to_name": "pic", "type": "rectanglelabels", "origin": "manual",
             "original_width": 200, "original_height": 101, "image_rotation": 0, "value": value}]  # fmt: skip


def annotate(connected: Connected, image: str, **body: Any) -> int:
    task = connected.tasks[image]
    number: int = connected.studio.ask("POST", f"/tasks/{task}/annotations/", json=body)["id"]
    return number


def test_the_backend_is_connected_and_a_wrong_password_is_not(connected: Connected) -> None:
    assert (connected.backend["state"], connected.backend["model_version"]) == ("CO", "vl-cards:1")
    wrong = {"project": connected.project, "url": connected.backend["url"], "auth_method": "BASIC_AUTH"}
    answer = connected.studio.api.post("/ml", json={**wrong, "basic_auth_user": "x", "basic_auth_pass": "whsec_x"})
    assert (answer.status_code, "403" in answer.text) == (400, True)


def test_an_annotation_is_a_label_of_the_loop_until_it_is_deleted(connected: Connected) -> None:
    one = annotate(connected, f"{STORED}1.png", result=result("ace"))
    connected.soon({"1.json": ["ace"]})
    connected.user.wait("one labelled image", lambda found: found["labelled"] == 1, 40)
    connected.studio.ask("PATCH", f"/annotations/{one}/", json={"result": result("jack")})
    connected.soon({"1.json": ["jack"]})
    annotate(connected, f"{STORED}2.png", result=[], was_cancelled=True)
    annotate(connected, f"{STORED}3.png", result=[])
    connected.soon({"1.json": ["jack"], "3.json": []})
    uploaded = next(name for name in connected.tasks if name.endswith("5.png"))
    assert uploaded.startswith("/data/upload/")
    annotate(connected, uploaded, result=result("ace"))
    connected.soon({"1.json": ["jack"], "3.json": [], "5.json": ["ace"]})
    connected.studio.ask("DELETE", f"/annotations/{one}/")
    connected.soon({"3.json": [], "5.json": ["ace"]})
    connected.studio.act(connected.project, "delete_tasks_annotations", *connected.tasks.values())
    connected.soon({})
    connected.user.wait("no labelled image", lambda found: found["labelled"] == 0, 40)


def test_its_people_see_our_suggestions_and_may_take_them_over(connected: Connected) -> None:
    shown, four = connected.studio, connected.tasks[f"{STORED}4.png"]
    shown.act(connected.project, "retrieve_tasks_predictions", *connected.tasks.values())
    every = shown.ask("GET", f"/predictions?project={connected.project}")
    found = {p["task"]: p for p in every}
    assert set(found) == {*connected.tasks.values()}
    assert (found[four]["model_version"], found[four]["score"]) == ("vl-cards:1", 0.9)
    [box] = found[four]["result"]
    assert (box["from_name"], box["to_name"], box["original_height"]) == ("card", "pic", 104)
    assert box["value"]["rectanglelabels"] == ["ace"]
    sides = [box["value"][name] for name in ("x", "y", "width", "height")]
    assert sides == pytest.approx([10, 20, 40, 40])
    shown.act(connected.project, "retrieve_tasks_predictions", four)
    assert len(shown.ask("GET", f"/predictions?project={connected.project}")) == len(every)
    version = {"model_version": "vl-cards:1"}
    both = [connected.tasks[f"{STORED}{name}"] for name in ("1.png", "4.png")]
    shown.act(connected.project, "predictions_to_annotations", *both, **version)
    connected.soon({"1.json": ["ace"], "4.json": ["ace"]})


def test_training_on_demand_is_acknowledged(connected: Connected) -> None:
    answer = connected.studio.api.post(f"/ml/{connected.backend['id']}/train", json={})
    assert answer.status_code == 200, answer.text


def test_what_label_studio_sends_without_a_password_is_refused(connected: Connected) -> None:
    """It registers the backend's own `/webhook` beside ours, and shows no password there."""
    hooks = {hook["url"] for hook in connected.studio.ask("GET", f"/webhooks/?project={connected.project}")}
    host = connected.cloud.urls["host"]
    assert hooks <= {host + connected.source["path"], f"{connected.backend['url']}/webhook"}
    assert httpx.post(f"{connected.backend['url']}/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 403


def test_the_secret_is_in_no_log(connected: Connected) -> None:
    key, logs = connected.source["secret"].removeprefix("whsec_"), connected.cloud.folder / "logs"
    assert not [f for f in logs.iterdir() if key in f.read_text(errors="replace")]
