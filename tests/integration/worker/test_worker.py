"""Microsoft's worker library is the judge: it indexes our app, runs every kind of trigger, and agrees with our host.

Without the library these tests fail rather than skip: it is what stands between us and Azure's own behaviour.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cloud_process import ROOT, CloudProcess, running_cloud
from tests.support.faked_app import make_folder
from tests.support.predictions import picture

V2 = ("server", "health", "model", "version", "model_ready", "version_ready", "infer", "version_infer")
FUNCTIONS = sorted(
    ["storage_events", "ml_events", "wake", "sweep", "deliver", "predict", "status", "loop_status", "problems", "timeline",
     "explain", "runs", "run", "run_plot", "datasets", "dataset", "dataset_export", "dataset_labels", "dataset_changes", "train", "pause", "resume", "cancel_run", "rollout", "model_card", "approval", "approval_answer",
     "dashboard", "health", "webhooks_register", "webhooks_list", "webhooks_get", "webhooks_update", "webhooks_rotate", "webhooks_replay", "webhooks_replay_one", "webhooks_remove", "webhooks_agree", "webhooks_agree_by_post", "webhooks_test", "webhooks_deliveries", "inbound_register", "inbound_list", "inbound_update", "inbound_rotate", "inbound_remove", "inbound_events", "inbound_later", "inbound_overdue", "label_studio_health", "label_studio_setup", "label_studio_predict", "label_studio_webhook",
     "keys_add", "keys_list", "keys_rotate", "keys_remove", "client_predict", "client_prediction", *(f"client_v2_{name}" for name in V2), "client_items", "client_status", "client_explain", "client_train", "client_pause", "client_resume", "client_cancel_run", "client_rollout", "predict_later", "prediction", "forget_predictions", "v2_server", "v2_health", "v2_model", "v2_version", "v2_model_ready",
     "v2_version_ready", "v2_infer", "v2_version_infer", "openapi", "api_page", "schemas", "schemas_one"]
)  # fmt: skip
IMAGE = picture(200, 100)
TURNED = picture(200, 100, orientation=6)


@dataclass
class Request:
    """An HTTP request that worker and host are both asked."""

    function: str
    path: str
    method: str = "GET"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)

    def case(self) -> dict[str, Any]:
        asked = {
            "method": self.method, "path": f"/api{self.path}", "headers": self.headers, "query": self.query,
            "params": self.params, "body": base64.b64encode(self.body).decode(),
        }  # fmt: skip
        return {"function": self.function, "argument": "req", "kind": "http", "input": asked}


def of_loop(function: str, loop: str, part: str, **more: Any) -> Request:
    return Request(function, f"/loops/{loop}/{part}", params={"loop": loop}, **more)


JPEG = {"content-type": "image/jpeg"}
CARDS = "/loops/cards"
CLAIMS = [{"typ": "oid", "val": "0000-7"}, *({"typ": "roles", "val": f"visionloop.{s}"} for s in ("predict", "admin"))]
ENTRA = {"x-ms-client-principal": base64.b64encode(json.dumps({"auth_typ": "aad", "claims": CLAIMS}).encode()).decode()}
ITEMS = b'{"items": [{"name": "1.jpg", "label": {"visionloop": 1, "negative": true}}]}'
REQUESTS = [
    Request("health", "/health"),
    Request("openapi", "/openapi.json"),
    Request("status", "/status"),
    Request("dashboard", "/dashboard"),
    of_loop("loop_status", "cards", "status"),
    of_loop("loop_status", "nobody", "status"),
    of_loop("problems", "cards", "problems", query={"severity": "error"}),
    of_loop("runs", "cards", "runs", query={"metric": "map50"}),
    of_loop("runs", "cards", "runs", query={"format": "svg"}),
    Request("run", "/loops/cards/runs/77", params={"loop": "cards", "number": "77"}),
    Request("run_plot", "/loops/cards/runs/1/plot", params={"loop": "cards", "number": "1"}),
    of_loop("timeline", "cards", "timeline", query={"limit": "5"}),
    of_loop("timeline", "cards", "timeline", query={"limit": "x"}),
    of_loop("train", "cards", "train", method="POST", body=b'{"by": "Ada", "why": "new camera"}'),
    of_loop("train", "nobody", "train", method="POST"),
    of_loop("pause", "cards", "pause", method="POST", body=b'{"bye": 1}'),
    of_loop("resume", "cards", "resume", method="POST"),
    Request("cancel_run", "/loops/cards/runs/77/cancel", "POST", params={"loop": "cards", "number": "77"}),
    of_loop("predict", "cards", "predict", method="POST", body=IMAGE, headers=JPEG),
    of_loop("predict", "cards", "predict", method="POST", body=TURNED, headers=JPEG, query={"threshold": "0.5"}),
    of_loop("predict", "cards", "predict", method="POST", body=IMAGE, headers=JPEG, query={"render": "true"}),
    of_loop("predict", "cards", "predict", method="POST", body=IMAGE, headers={**JPEG, "accept": "image/png"}),
    of_loop("predict", "cards", "predict", method="POST", body=b"GIF89a", headers=JPEG),
    of_loop("predict", "fruit", "predict", method="POST", body=IMAGE, headers=JPEG),
    Request(
        "webhooks_register", "/webhooks", "POST", b'{"url": "https://receiver.example/", "events": ["training.*"]}'
    ),
    Request("webhooks_register", "/webhooks", "POST", b'{"url": "http://receiver.example/"}'),
    Request("webhooks_list", "/webhooks"),
    Request("webhooks_test", "/webhooks/ep_0/test", "POST", params={"id": "ep_0"}),
    Request("webhooks_deliveries", "/webhooks/ep_0/deliveries", params={"id": "ep_0"}),
    Request("webhooks_remove", "/webhooks/ep_0", "DELETE", params={"id": "ep_0"}),
    of_loop("keys_list", "cards", "keys"),
    of_loop("keys_add", "nobody", "keys", method="POST"),
    Request("client_predict", f"/client{CARDS}/predict", "POST", IMAGE, JPEG, params={"loop": "cards"}),
    Request("client_predict", f"/client{CARDS}/predict", "POST", IMAGE, {**JPEG, **ENTRA}, params={"loop": "cards"}),
    Request("client_items", f"/client{CARDS}/items", "POST", ITEMS, ENTRA, params={"loop": "cards"}),
    Request("client_items", f"/client{CARDS}/items", "POST", b"{}", ENTRA, params={"loop": "cards"}),
    Request(
        "client_rollout", f"/client{CARDS}/rollout/hold", "POST", b"{}", ENTRA, params={"loop": "cards", "word": "hold"}
    ),
    Request("client_train", f"/client{CARDS}/train", "POST", b"{}", ENTRA, params={"loop": "cards"}),
    Request("client_train", f"/client{CARDS}/train", "POST", b"{}", params={"loop": "cards"}),
    Request("client_v2_model", "/client/v2/models/cards", headers=ENTRA, params={"loop": "cards"}),
    Request("client_v2_model", "/client/v2/models/cards", params={"loop": "cards"}),
    Request("client_v2_health", "/client/v2/health/live", params={"probe": "live"}),
    Request("client_v2_infer", "/client/v2/models/cards/infer", "POST", b"{}", ENTRA, params={"loop": "cards"}),
]
SUBJECT = "/blobServices/default/containers/visionloop-data/blobs/cards/images/1.jpg"
JOB = "vl-cards-0123456789ab"
RUN = "Microsoft.MachineLearningServices.RunCompleted"
BLOB = "Microsoft.Storage.BlobCreated"


def event(schema: str, kind: str, subject: str, data: dict[str, str]) -> dict[str, Any]:
    found = {"id": "1", "subject": subject, "data": data}
    if schema == "cloudevents":
        return {**found, "type": kind, "source": "/s", "specversion": "1.0", "time": "2026-01-01T00:00:00Z"}
    grid = {"topic": "/s", "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "", "metadataVersion": "1"}
    return {**found, **grid, "eventType": kind}


EVENTS = [
    (function, event(schema, *about))
    for schema in ("cloudevents", "eventgrid")
    for function, about in (
        ("storage_events", (BLOB, SUBJECT, {"api": "PutBlob"})),
        ("storage_events", (BLOB, SUBJECT, {"api": "PutBlock"})),
        ("ml_events", (RUN, "", {"RunId": JOB})),
        ("ml_events", (RUN, "", {"runId": f"{JOB}_HD_0"})),
    )
]
MESSAGES = [
    ("wake", '{"loop": "cards", "reason": "ü"}'),
    ("wake", "not ours"),
    ("deliver", '{"delivery": "of no concern here"}'),
]
TIMER = json.dumps({"IsPastDue": False, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": {}})


def cases() -> list[dict[str, Any]]:
    found = [r.case() for r in REQUESTS]
    found += [{"function": f, "argument": "event", "kind": "json", "input": json.dumps(e)} for f, e in EVENTS]
    found += [{"function": f, "argument": "message", "kind": "string", "input": m} for f, m in MESSAGES]
    timers = (
        {"function": f, "argument": "timer", "kind": "json", "input": TIMER} for f in ("sweep", "inbound_overdue")
    )
    return [*found, *timers]


def in_worker(folder: Path, effects: Path, asked: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VISIONLOOP_TEST_EFFECTS": str(effects), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.support.worker_driver", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, input=json.dumps(asked), capture_output=True, text=True, timeout=200
    )


_RANDOM = [(r"ep_[0-9a-f]{16}", "ep_"), (r'"whsec_[^"]+"', '"whsec_"'), (r'"timing_ms":\{[^}]*\}', '"timing_ms":{}')]


def comparable(status: int, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
    """What a client sees, without what is random or a matter of time."""
    for pattern, text in _RANDOM:
        body = re.sub(pattern.encode(), text.encode(), body)
    return status, headers.get("content-type", "").partition(";")[0], body


def effects_of(file: Path) -> list[str]:
    """Each effect once: a timer runs as often as there is time, and events go in parallel."""
    return sorted(set(file.read_text().splitlines())) if file.exists() else []


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Microsoft's worker makes of all cases."""
    base = tmp_path_factory.mktemp("worker")
    done = in_worker(make_folder(base / "app"), base / "effects", cases())
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout), "effects": effects_of(base / "effects")}


def test_the_library_is_here() -> None:
    import azure_functions_runtime  # noqa: F401  # its absence must fail


def test_it_indexes_every_function(judged: dict[str, Any]) -> None:
    assert judged["functions"] == FUNCTIONS


def test_every_invocation_succeeds(judged: dict[str, Any]) -> None:
    assert [r["error"] for r in judged["results"]] == [None] * len(cases())
    assert all(r["ok"] for r in judged["results"])


def test_triggers_have_their_effects(judged: dict[str, Any]) -> None:
    assert judged["effects"] == sorted(
        [
            '["waker.wake", "cards", "a blob changed"]',
            '["waker.wake", "cards", "a run changed"]',
            '["controller.wake", "cards"]',
            json.dumps(["deliverer.deliver", MESSAGES[2][1]]),
            '["inbound_worker.look_again"]',
            '["sweeper.sweep"]',
        ]
    )


def test_a_wrong_argument_name_is_refused(tmp_path: Path) -> None:
    """So the judge really judges."""
    folder = tmp_path / "app"
    folder.mkdir()
    code = (
        "import azure.functions as func\napp = func.FunctionApp()\n@app.route('x')\ndef f(request):\n    return 'x'\n"
    )
    (folder / "function_app.py").write_text(code)
    done = in_worker(folder, tmp_path / "effects", [])
    assert done.returncode != 0
    assert "FunctionLoadError" in done.stderr


def test_our_host_gives_the_same(judged: dict[str, Any], tmp_path: Path) -> None:
    """The same app in our Functions host, asked over HTTP, Event Grid's webhook, a real queue and its timer."""
    effects = tmp_path / "effects"
    environment = {"VISIONLOOP_TEST_EFFECTS": str(effects), "VISIONLOOP_SWEEP_SCHEDULE": "* * * * * *"}
    folder = make_folder(tmp_path / "app")
    with running_cloud(tmp_path / "cloud", "--app", str(folder), environment=environment) as cloud:
        send_messages(cloud)
        with httpx.Client(base_url=cloud.urls["host"], timeout=30) as client:
            answers = [ask(client, cloud.key, r) for r in REQUESTS]
            assert [deliver(client, cloud, f, e) for f, e in EVENTS] == [202] * len(EVENTS)
        wait_for(effects, judged["effects"])
    expected = [r["answer"] for r in judged["results"][: len(REQUESTS)]]
    for request, answer, other in zip(REQUESTS, answers, expected, strict=True):
        told = comparable(other["status"], other["headers"], base64.b64decode(other["body"]))
        assert answer == told, f"{request.function}: {answer} instead of {told}\n{last_words(tmp_path / 'cloud')}"


def last_words(folder: Path) -> str:
    """The end of the host's log, which says why an answer is 500."""
    return (folder / "logs" / "host.log").read_text(errors="replace")[-3000:]


def ask(client: httpx.Client, key: str, request: Request) -> tuple[int, str, bytes]:
    headers = {**request.headers, "x-functions-key": key}
    if request.method != "GET":
        headers["content-length"] = str(len(request.body))
    answer = client.request(
        request.method, f"/api{request.path}", params=request.query, headers=headers, content=request.body
    )
    return comparable(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)


def deliver(client: httpx.Client, cloud: CloudProcess, function: str, found: dict[str, Any]) -> int:
    query = {"functionName": function, "code": cloud.description()["keys"]["eventgrid_extension"]}
    headers = {"aeg-event-type": "Notification"}
    return client.post("/runtime/webhooks/eventgrid", params=query, headers=headers, json=[found]).status_code


def send_messages(cloud: CloudProcess) -> None:
    from azure.identity import DefaultAzureCredential
    from azure.storage.queue import QueueClient, TextBase64EncodePolicy

    queues = {"wake": "visionloop-wake", "deliver": "visionloop-deliveries"}
    with DefaultAzureCredential() as credential:
        for function, message in MESSAGES:
            account = cloud.environment["SystemStorage__queueServiceUri"]
            with QueueClient(
                account, queues[function], credential, message_encode_policy=TextBase64EncodePolicy()
            ) as queue:
                queue.send_message(message)


def wait_for(file: Path, effects: list[str]) -> None:
    ends = time.monotonic() + 120
    while effects_of(file) != effects:
        assert time.monotonic() < ends, f"{effects_of(file)} instead of {effects}"
        time.sleep(0.1)
