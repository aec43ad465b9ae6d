from __future__ import annotations

import asyncio
import errno
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.azure_ml.publisher import publish
from emulator.azure_ml.store import Store
from emulator.event_grid.store import Store as RelayStore
from emulator.state_files import DISK_FULL, BrokenFile, is_disk_full, read_json, write_json
from emulator.supervisor.layout import Layout
from tests.support.azure_ml_app import CLUSTER, App
from tests.support.cloud_process import ROOT

FULL = sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("text", ["", "{", '{"master": "x', "null", "[]", "{}", '{"blob": 1}', "\x00" * 20])
@pytest.mark.parametrize("name", ["keys.json", "ports.json"])
def test_a_damaged_layout_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BrokenFile, match=f"{name} is damaged: delete it"):
        Layout.open(tmp_path, "auto")
    (tmp_path / name).unlink()
    assert Layout.open(tmp_path, "auto").keys == Layout.open(tmp_path, "auto").keys


@pytest.mark.parametrize("store", [Store, RelayStore])
@pytest.mark.parametrize("data", [b"no database, but a text that is longer than a header of SQLite's would be" * 20])
def test_a_damaged_database_is_named_and_left_as_it_is(
    tmp_path: Path, store: Callable[[Path], Any], data: bytes
) -> None:
    file = tmp_path / "state.sqlite"
    file.write_bytes(data)
    with pytest.raises(BrokenFile, match=r"state\.sqlite is damaged"):
        store(file)
    assert file.read_bytes() == data


def test_the_cloud_says_in_a_sentence_why_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    command = [sys.executable, "-m", "emulator", "up", "--folder", str(tmp_path), "--ports", "auto", "--no-app"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "keys.json is damaged" in ended.stderr


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "state.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert read_json(file, ["a"], "nothing") == {"a": 1}


@pytest.mark.parametrize(
    ("error", "full"),
    [(OSError(errno.ENOSPC, "x"), True), (FULL, True), (OSError(errno.EACCES, "x"), False), (ValueError(), False)],
)
def test_what_says_that_there_is_no_room(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full


def refuse(*_: object) -> None:
    raise FULL


def test_a_full_disk_is_said_to_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(tmp_path)
    monkeypatch.setattr(app.emulator.store, "put", refuse)
    answer = app.arm("PUT", "computes/gpu-cluster", CLUSTER)
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, DISK_FULL)
    app.close()


def test_events_are_published_again_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(tmp_path, event_topic={"url": "https://topic/api/events", "key": "k"})
    app.emulator.runs.publish("ModelRegistered", "models/cats:1", {})
    forget, tries, taken = app.emulator.store.forget_events, [FULL, None], list[bytes]()

    def forget_or_not(numbers: list[int]) -> None:
        if tries.pop(0):
            raise FULL
        forget(numbers)

    def take(request: httpx.Request) -> httpx.Response:
        taken.append(request.content)
        return httpx.Response(200)

    client = httpx.AsyncClient(transport=httpx.MockTransport(take))
    monkeypatch.setattr("emulator.azure_ml.publisher.httpx.AsyncClient", lambda **_: client)
    monkeypatch.setattr("emulator.azure_ml.publisher.RETRY_SECONDS", 0)
    monkeypatch.setattr(app.emulator.store, "forget_events", forget_or_not)

    async def running() -> None:
        task = asyncio.create_task(publish(app.config, app.emulator.store, app.emulator.faults))
        while app.emulator.store.events():  # noqa: ASYNC110  # a test looks from outside
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(asyncio.wait_for(running(), 60))
    assert len(taken) == 2
    assert taken[0] == taken[1]
    app.close()
