"""Predictions over HTTP, through the host, a real queue and real storage; only the slot is a stand-in."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from tests.support.cloud_process import running_cloud
from tests.support.faked_app import make_folder
from tests.support.predictions import picture

APP = """
from services import wiring
from tests.support import faked_app

settings, later = wiring.settings, wiring.later
app = faked_app.load()
wiring.settings, wiring.later = settings, later
"""
ONE, TWO = picture(200, 100), picture(60, 40, "PNG")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("http")
    app = make_folder(folder / "app")
    (app / "function_app.py").write_text(APP)
    environment = {"VISIONLOOP_SWEEP_SCHEDULE": "0 0 0 1 1 *", "VISIONLOOP_TEST_EFFECTS": str(folder / "effects")}
    with (
        running_cloud(folder / "cloud", "--app", str(app), environment=environment) as cloud,
        httpx.Client(base_url=cloud.urls["host"] + "/api", headers={"x-functions-key": cloud.key}, timeout=60) as found,
    ):
        yield found


def test_a_form_of_several_images_is_answered_by_a_list(client: httpx.Client) -> None:
    files = [("image", ("a.jpg", ONE, "image/jpeg")), ("image", ("b.png", TWO, "image/png"))]
    answer = client.post("/loops/cards/predict", files=files)
    assert [one["image"]["width"] for one in answer.json()] == [200, 60]
    assert answer.headers["x-visionloop-slot"] == "blue"
    assert "model;dur=" in answer.headers["server-timing"]


def test_accept_gets_the_picture(client: httpx.Client) -> None:
    answer = client.post("/loops/cards/predict", content=ONE, headers={"accept": "image/jpeg"})
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (200, 100)


def test_azure_mls_body_passes_through(client: httpx.Client) -> None:
    body = {"input_data": {"columns": ["image"], "data": [base64.b64encode(ONE).decode()]}}
    [found] = client.post("/loops/cards/predict", json=body).json()
    assert found["boxes"][0]["box"]["topX"] == 0.1


def test_the_open_inference_protocol(client: httpx.Client) -> None:
    assert client.get("/v2/health/live", headers={"x-functions-key": ""}).json()["live"] is True
    assert client.get("/v2/health/ready").json()["ready"] is True
    assert client.get("/v2/models/cards").json()["inputs"][0]["datatype"] == "BYTES"
    data = [base64.b64encode(ONE).decode()]
    body = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]}
    for path in ("/v2/models/cards/infer", "/v2/models/cards/versions/1/infer"):
        outputs = {one["name"]: one["data"] for one in client.post(path, json=body).json()["outputs"]}
        assert outputs["labels"] == ["ace"]
        assert outputs["boxes"] == [20, 20, 100, 60]
    missing = client.get("/v2/models/cards/versions/9/ready")
    assert (missing.status_code, missing.json()["error"]) == (404, missing.json()["detail"])


def test_what_nobody_waits_for_is_made_from_the_queue(client: httpx.Client) -> None:
    headers = {"prefer": "respond-async", "idempotency-key": "order-7", "content-type": "image/jpeg"}
    first, again = (client.post("/loops/cards/predict", content=ONE, headers=headers) for _ in range(2))
    assert (first.status_code, first.headers["preference-applied"]) == (202, "respond-async")
    assert first.headers["location"] == again.headers["location"]
    path, ends = first.headers["location"].removeprefix("/api"), time.monotonic() + 120
    while (found := client.get(path)).status_code == 202:
        assert time.monotonic() < ends, "the prediction was not made"
        time.sleep(0.2)
    assert (found.status_code, found.json()["predictions"][0]["label"]) == (200, "ace")
    other = client.post("/loops/cards/predict", content=TWO, headers=headers)
    assert (other.status_code, other.json()["type"]) == (409, "urn:visionloop:problem:conflict")


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("/loops/cards/predict", b"\0\0\0\x18ftypheic", {}, 415),
        ("/loops/cards/predict", b"", {}, 400),
        ("/loops/cards/predict", b"--x\r\n", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (
            "/loops/cards/predict",
            b'{"image_url": "https://169.254.169.254/"}',
            {"content-type": "application/json"},
            400,
        ),
        ("/loops/cards/predict?slot=green", ONE, {}, 404),
        ("/loops/fruit/predict", ONE, {}, 409),
        ("/loops/cards/predict", ONE, {"x-deadline-ms": "soon"}, 400),
        ("/v2/models/cards/infer", b"{}", {}, 400),
    ],
)
def test_errors_are_problem_details(
    client: httpx.Client, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post(path, content=content, headers={"content-length": str(len(content)), **headers})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == answer.json()["status"] == status, answer.text


def test_more_at_once_than_may_be_are_told_to_come_again(client: httpx.Client) -> None:
    """Every request is answered: with predictions, or at once with 429 and when to come again."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.post("/loops/cards/predict", content=ONE), range(64)))
    assert {a.status_code for a in answers} <= {200, 429}
    assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 429)
    assert any(a.status_code == 200 for a in answers)
