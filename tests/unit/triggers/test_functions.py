"""Every function of the app, called as the host calls it, over fakes."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import azure.functions as func
import pytest

from services import wiring
from services.cloud.fakes import FakeCloud, fake_settings
from services.errors import NoChampion, UpstreamBusy, VisionloopError
from services.settings import DELIVERY_QUEUE, INBOUND_QUEUE, PREDICTION_QUEUE, WAKE_QUEUE
from services.wake import Waker
from tests.support.http_request import document, functions, request

ROOT = Path(__file__).resolve().parents[3]
V2 = ("server", "health", "model", "version", "model_ready", "version_ready", "infer", "version_infer")
EXPECTED = {
    "storage_events": "eventGridTrigger",
    "ml_events": "eventGridTrigger",
    "wake": "queueTrigger",
    "deliver": "queueTrigger",
    "predict_later": "queueTrigger",
    "inbound_later": "queueTrigger",
    "sweep": "timerTrigger",
    "forget_predictions": "timerTrigger",
    "inbound_overdue": "timerTrigger",
    **dict.fromkeys(
        ["health", "status", "loop_status", "problems", "timeline", "explain", "runs", "run", "run_plot", "dashboard", "predict", "train", "pause",
         "resume", "datasets", "dataset", "dataset_changes", "dataset_labels", "dataset_export", "cancel_run", "rollout", "model_card", "approval", "approval_answer", "webhooks_register", "webhooks_list", "webhooks_get", "webhooks_update", "webhooks_rotate", "webhooks_replay", "webhooks_replay_one",
         "webhooks_remove", "webhooks_agree", "webhooks_agree_by_post", "webhooks_test", "webhooks_deliveries", "inbound_register", "inbound_list", "inbound_update", "inbound_rotate", "inbound_remove", "inbound_events", "label_studio_health", "label_studio_setup", "label_studio_predict", "label_studio_webhook", "keys_add", "keys_list", "keys_rotate", "keys_remove", "client_predict", "client_prediction", *(f"client_v2_{name}" for name in V2), "client_items", "client_status", "client_explain", "client_train", "client_pause", "client_resume", "client_cancel_run", "client_rollout", "prediction", "v2_server", "v2_health", "v2_model", "v2_version", "v2_model_ready",
         "v2_version_ready", "v2_infer", "v2_version_infer", "openapi", "api_page", "schemas", "schemas_one"],
        "httpTrigger",
    ),
}  # fmt: skip
CLIENT = tuple(name for name in EXPECTED if name.startswith("client_"))
Call = Callable[..., Any]


@pytest.fixture(scope="module")
def app() -> dict[str, Any]:
    return functions()


@pytest.fixture
def call(app: dict[str, Any]) -> Callable[[str], Call]:
    return lambda name: app[name].get_user_function()


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    cloud = FakeCloud()
    waker = Waker(cloud.wakes, cloud.clock, 1)
    for name, value in {"waker": waker, "settings": fake_settings(), "system_store": cloud.system}.items():
        monkeypatch.setattr(wiring, name, lambda value=value: value)
    return cloud


def binding(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = next(
        b for b in map(json.loads, function.get_raw_bindings()) if b["type"].endswith("Trigger")
    )
    return found


def test_the_functions_are_these(app: dict[str, Any]) -> None:
    assert {name: binding(f)["type"] for name, f in app.items()} == EXPECTED


def test_only_health_and_the_page_are_open_to_everybody(app: dict[str, Any]) -> None:
    levels = {n: str(binding(f)["authLevel"]).upper() for n, f in app.items() if EXPECTED[n] == "httpTrigger"}
    is_open = {
        "health",
        "v2_health",
        "dashboard",
        "openapi",
        "api_page",
        "schemas",
        "schemas_one",
        "approval",
        "approval_answer",
        "webhooks_agree",
        "webhooks_agree_by_post",
        "inbound_events",
        "label_studio_health",
        "label_studio_setup",
        "label_studio_predict",
        "label_studio_webhook",
        *CLIENT,
    }  # a signed link or message is its own key, and services/access asks for clients'
    assert {n for n, level in levels.items() if "ANONYMOUS" in level} == is_open
    assert all("FUNCTION" in level for n, level in levels.items() if n not in is_open)


def test_queues_and_timer_are_where_infrastructure_makes_them(app: dict[str, Any]) -> None:
    queues = {
        "wake": WAKE_QUEUE,
        "deliver": DELIVERY_QUEUE,
        "predict_later": PREDICTION_QUEUE,
        "inbound_later": INBOUND_QUEUE,
    }
    for name, queue in queues.items():
        assert binding(app[name])["queueName"] == queue
        assert binding(app[name])["connection"] == "SystemStorage"
    assert binding(app["sweep"])["schedule"] == "%VISIONLOOP_SWEEP_SCHEDULE%"
    assert binding(app["inbound_overdue"])["schedule"] == "%VISIONLOOP_SWEEP_SCHEDULE%"


def test_an_event_wakes_its_loop_once(call: Callable[[str], Call], fakes: FakeCloud) -> None:
    event = func.EventGridEvent(
        id="1", topic="/t", event_time=None, data_version="", event_type="Microsoft.Storage.BlobCreated",
        subject="/blobServices/default/containers/visionloop-data/blobs/cards/images/1.jpg", data={"api": "PutBlob"},
    )  # fmt: skip
    for _ in range(3):
        call("storage_events")(event=event)
    assert [json.loads(body)["loop"] for body, _ in fakes.wakes.sent] == ["cards"]


def test_nobodys_event_is_a_line_in_the_log(
    call: Callable[[str], Call], fakes: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for name in ("storage_events", "ml_events"):
            call(name)(event=object())
    assert fakes.wakes.sent == []
    assert caplog.text.count("Nobody's event") == 2


class _Controller:
    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, loop: str) -> None:
        self.woken.append(loop)


def test_a_wake_reaches_the_controller(call: Callable[[str], Call], monkeypatch: pytest.MonkeyPatch) -> None:
    controller = _Controller()
    monkeypatch.setattr(wiring, "controller", lambda: controller)
    call("wake")(message=func.QueueMessage(body=b'{"loop": "cards", "reason": "x"}'))
    assert controller.woken == ["cards"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b"7", b'{"loop": 7}', b'{"loop": "../x"}', b"[" * 5000]
)
def test_a_malformed_message_is_dropped_with_its_reason(
    call: Callable[[str], Call], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    controller = _Controller()
    monkeypatch.setattr(wiring, "controller", lambda: controller)
    call("wake")(message=func.QueueMessage(body=body))
    assert controller.woken == []
    assert "dropped" in caplog.text


def test_a_failing_wake_fails_its_message(call: Callable[[str], Call], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise UpstreamBusy("no")

    monkeypatch.setattr(wiring, "controller", broken)
    with pytest.raises(UpstreamBusy):
        call("wake")(message=func.QueueMessage(body=b'{"loop": "cards"}'))


class TestErrors:
    """One shape everywhere: whatever a service raises, whatever the route."""

    ROUTES: ClassVar = {
        "status": "status",
        "loop_status": "status",
        "timeline": "status",
        "problems": "problem_reports",
        "predict": "predictor",
        "prediction": "later",
        "v2_model": "open_inference",
        "v2_version": "open_inference",
        "v2_model_ready": "open_inference",
        "v2_version_ready": "open_inference",
        "v2_infer": "open_inference",
        "v2_version_infer": "open_inference",
        "webhooks_register": "webhook_console",
        "webhooks_list": "webhook_console",
        "webhooks_remove": "webhook_console",
        "webhooks_test": "webhook_console",
        "webhooks_deliveries": "webhook_console",
        "keys_add": "key_console",
        "keys_list": "key_console",
        "keys_rotate": "key_console",
        "keys_remove": "key_console",
        **dict.fromkeys([name for name in CLIENT if name not in {"client_v2_server", "client_v2_health"}], "door"),
    }

    @pytest.mark.parametrize("name", ROUTES)
    @pytest.mark.parametrize(
        "error", [NoChampion("20 of 40 images", loop="cards"), UpstreamBusy("busy", retry_after=7.2)]
    )
    def test_our_errors_are_problem_details(
        self, call: Callable[[str], Call], monkeypatch: pytest.MonkeyPatch, name: str, error: VisionloopError
    ) -> None:
        answer = self._answer(call, monkeypatch, name, error)
        assert answer.status_code == error.status
        assert answer.mimetype == answer.headers["content-type"] == "application/problem+json"
        found = document(answer)
        assert {"type", "title", "status", "detail"} <= found.keys()
        assert found["detail"] == error.detail
        assert answer.headers.get("retry-after") == ("7" if isinstance(error, UpstreamBusy) else None)

    @pytest.mark.parametrize("name", ROUTES)
    def test_anything_else_is_a_500_that_tells_nothing_but_an_id(
        self, call: Callable[[str], Call], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        answer = self._answer(call, monkeypatch, name, RuntimeError("AccountKey=very-secret"))
        found = document(answer)
        assert answer.status_code == found["status"] == 500
        assert b"secret" not in answer.get_body()
        assert b"Traceback" not in answer.get_body()
        assert found["correlation_id"] in caplog.text
        assert "Traceback" in caplog.text

    @staticmethod
    def _answer(
        call: Callable[[str], Call], monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
    ) -> func.HttpResponse:
        def broken() -> Any:
            raise error

        monkeypatch.setattr(wiring, "settings", fake_settings)
        monkeypatch.setattr(wiring, TestErrors.ROUTES[name], broken)
        answer = call(name)(req=request(loop="cards", id="ep_0", version="1", number="1", word="hold"))
        found: func.HttpResponse = asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        return found


def test_health_tells_the_version_without_looking_anywhere(call: Callable[[str], Call]) -> None:
    answer = call("health")(req=request())
    assert answer.status_code == 200
    assert document(answer) == {"status": "ok", "version": "0.1.0"}


def test_deep_health_looks_at_both_containers(
    call: Callable[[str], Call], fakes: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "data_store", lambda: fakes.data)
    assert document(call("health")(req=request(query={"deep": "true"})))["storage"] == "ok"

    def away(_: str) -> None:
        raise UpstreamBusy("account devstore is away")

    fakes.on_call = away
    answer = call("health")(req=request(query={"deep": "true"}))
    assert answer.status_code == 503
    assert "devstore" not in answer.get_body().decode()


def test_the_page_is_html_that_may_load_nothing(call: Callable[[str], Call]) -> None:
    answer = call("dashboard")(req=request())
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("file", sorted((ROOT / "triggers").glob("*.py")), ids=lambda f: f.stem)
def test_a_handler_is_a_dozen_lines_at_most(file: Path) -> None:
    import ast

    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            assert (node.end_lineno or 0) - node.lineno <= 12, node.name
