"""The whole local cloud as processes, with a small app of its own in place of the product."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.cloud_process import ROOT, CloudProcess, running_cloud
from tests.support.timing import tried_again, within

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
APP = """
import os, azure.functions as func
app = func.FunctionApp()
def note(text):
    with open(os.environ["TEST_SEEN"], "a") as out: out.write(text + "\\n")
@app.event_grid_trigger(arg_name="event")
def storage_events(event: func.EventGridEvent) -> None: note("event " + event.subject)
@app.event_grid_trigger(arg_name="event")
def ml_events(event: func.EventGridEvent) -> None: note("ml " + event.subject)
@app.route("page", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def page(req: func.HttpRequest) -> func.HttpResponse: return func.HttpResponse("a page")
@app.queue_trigger(arg_name="message", queue_name="visionloop-wake", connection="SystemStorage")
def wake(message: func.QueueMessage) -> None:
    note("wake " + message.get_body().decode())
    raise RuntimeError("never good")
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    folder = tmp_path_factory.mktemp("cloud")
    app = folder / "app"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    (app / "host.json").write_text('{"extensions": {"queues": {"maxPollingInterval": "00:00:01"}}}')
    with running_cloud(folder, "--app", str(app), environment={"TEST_SEEN": str(folder / "seen")}) as found:
        yield found


def until(true: Callable[[], bool], seconds: float = 90) -> bool:
    ends = time.monotonic() + seconds
    while not true() and time.monotonic() < ends:
        time.sleep(0.1)
    return true()


def seen(cloud: CloudProcess, text: str) -> int:
    file = cloud.folder / "seen"
    return sum(line.startswith(text) for line in file.read_text().splitlines()) if file.exists() else 0


def test_an_upload_by_the_storage_sdk_reaches_the_function(cloud: CloudProcess) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(cloud.urls["blob"], KEY) as service:
        service.get_blob_client("visionloop-data", "cards/images/a b.jpg").upload_blob(b"x")
        service.get_blob_client("visionloop-system", "state/cards.json").upload_blob(b"x")
    assert until(lambda: seen(cloud, "event ") >= 1)
    (line,) = {text for text in (cloud.folder / "seen").read_text().splitlines() if text.startswith("event ")}
    assert line.endswith("/containers/visionloop-data/blobs/cards/images/a b.jpg")


def test_the_hosts_root_leads_to_the_apps_pages(cloud: CloudProcess) -> None:
    root = cloud.urls["host"]
    assert 'href="/api/page"' in httpx.get(f"{root}/", timeout=60).text
    assert httpx.get(f"{root}/api/page", timeout=60).text == "a page"


def test_a_message_that_always_fails_is_poison_after_five_attempts(cloud: CloudProcess) -> None:
    from azure.storage.queue import QueueServiceClient

    content = base64.b64encode(b"hello").decode()
    with QueueServiceClient(cloud.urls["queue"], KEY) as service:
        service.get_queue_client("visionloop-wake").send_message(content)
        with service.get_queue_client("visionloop-wake-poison") as poison:
            assert until(lambda: bool(poison.peek_messages()))
            assert poison.peek_messages()[0].content == content
    assert seen(cloud, "wake hello") == 5


def test_a_second_cloud_on_the_folder_is_refused(cloud: CloudProcess) -> None:
    command = [sys.executable, "-m", "emulator", "up", "--folder", str(cloud.folder), "--ports", "auto"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert second.returncode == 3
    assert "already runs" in second.stderr


@tried_again
def test_a_killed_host_is_started_again(cloud: CloudProcess) -> None:
    before = cloud.description()["pids"]["host"]
    cloud.kill_host()
    with within(3):
        assert until(lambda: cloud.description()["pids"]["host"] != before)


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    cloud = CloudProcess(tmp_path, "--no-app")
    cloud.start()
    described = cloud.description()
    psutil.Process(described["pid"]).kill()
    assert until(lambda: not any(is_alive(pid) for pid in described["pids"].values()))
    cloud.stop()


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
