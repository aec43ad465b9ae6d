from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from devtools import cloud
from devtools.client import Client, Refused, Unreachable
from devtools.cloud import LocalCloud, check_can_start, describe, local_cloud, running
from devtools.console import Stop
from devtools.follow import Follower
from devtools.layout import PORTS
from emulator.supervisor.layout import Ports
from tests.support.programs import program
from tests.support.small_server import Handler, serving

EVENT = {"id": "nuts-1", "type": "visionloop.dataset.registered", "time": "2026-01-01T12:00:00Z", "data": {}}
STATUS = {"loop": "nuts", "labelled": 40, "datasets": [{}], "champion": None, "doing": "Waiting."}
ANSWERS: dict[str, Any] = {
    "/api/status": {"loops": [{"loop": "nuts"}]},
    "/api/loops/nuts/status": STATUS,
    "/api/loops/nuts/timeline?limit=200": {"events": [{**EVENT, "id": "nuts-2"}, EVENT]},
}


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    """A process whose command line says that it is an emulator."""
    with program("emulator") as process:
        yield process


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    class Host(Handler):
        def do_GET(self) -> None:
            found = ANSWERS.get(self.path)
            allowed = self.headers["x-functions-key"] == "secret"
            status = (200 if allowed else 401) if found else 404
            self.answer(status, json.dumps(found or {"error": "unknown"}).encode())

    with serving(Host) as address:
        yield Client(_described(tmp_path, address))


def _described(folder: Path, host: str) -> Path:
    (folder / "certs").mkdir()
    trustme.CA().cert_pem.write_to_path(folder / "certs" / "ca.pem")
    urls = {"host": host, "blob": "https://b", "queue": "https://q", "azure_ml": "https://a", "event_grid": "https://e"}
    found = {"urls": urls, "keys": {"default": "secret"}, "environment": {"A": "1"}}
    (folder / "cloud.json").write_text(json.dumps(found))
    return folder


def test_our_ports_are_the_supervisors() -> None:
    assert Ports(**PORTS) == Ports()


def test_a_second_cloud_on_a_folder_is_refused(tmp_path: Path, sleeper: subprocess.Popen[str]) -> None:
    (tmp_path / "lock").write_text(str(sleeper.pid))
    assert running(tmp_path) == sleeper.pid
    with pytest.raises(Stop, match=rf"already runs .*process {sleeper.pid}") as refused:
        check_can_start(tmp_path, "auto")
    assert refused.value.code == 3


def test_a_lock_whose_process_is_gone_or_another_program_does_not_count(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    (tmp_path / "lock").write_text(str(gone.pid))
    assert running(tmp_path) is None
    with program("calculator") as other:
        (tmp_path / "lock").write_text(str(other.pid))
        assert running(tmp_path) is None


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(cloud, "PORTS", {"blob": port})
        with pytest.raises(Stop, match=rf"port {port} \(blob\).*--ports auto") as refused:
            check_can_start(tmp_path, "default")
        assert refused.value.code == 4
        check_can_start(tmp_path, "auto")


def _script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """Put a program in the supervisor's place."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(cloud, "venv_python", lambda: program)


def test_what_the_supervisor_says_is_passed_on_with_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(monkeypatch, tmp_path, "print('Port 7 is taken', file=sys.stderr); sys.exit(4)")
    with pytest.raises(Stop, match="Port 7 is taken") as refused, local_cloud(tmp_path, "auto"):
        pytest.fail("it did not start")
    assert refused.value.code == 4


def test_words_about_options_name_no_other_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "usage: python -m emulator [-h] up\npython -m emulator: error: chaos knows copies, not foo"
    _script(monkeypatch, tmp_path, f"print({words!r}, file=sys.stderr); sys.exit(2)")
    with pytest.raises(Stop) as refused, local_cloud(tmp_path, "auto"):
        pytest.fail("it did not start")
    assert str(refused.value) == "chaos knows copies, not foo"
    assert "its state is kept" not in capsys.readouterr().out, "there never was a cloud"


def test_a_missing_module_comes_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(monkeypatch, tmp_path, "import there_is_no_such_thing")
    with (
        pytest.raises(Stop, match=r"remove the folder \.venv, and run") as refused,
        local_cloud(tmp_path, "auto"),
    ):
        pytest.fail("it did not start")
    assert "'there_is_no_such_thing'" in str(refused.value)


def test_nothing_is_left_after_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _script(monkeypatch, tmp_path, "print('ready', flush=True); print('host restarted', flush=True); sys.stdin.read()")
    with local_cloud(_described(tmp_path, "http://h"), "auto") as (running_cloud, client):
        assert client.environment == {"A": "1"}
        assert isinstance(running_cloud, LocalCloud)
    said = capsys.readouterr().out
    assert "host restarted" in said
    assert "has ended" in said
    assert running_cloud.wait() == 0


def test_addresses_and_keys_are_shown(tmp_path: Path) -> None:
    folder = _described(tmp_path, "http://h")
    shown = describe(Client(folder), folder)
    assert "/api/docs " in shown
    assert "http://h/api/status?code=secret" in shown
    assert "http://h/api/dashboard?code=secret" in shown
    assert "https://a/emulator/overview" in shown


def test_the_client_knows_absent_loops_errors_and_silence(client: Client) -> None:
    assert client.status("bolts") == {}
    assert client.timeline("bolts") == []
    assert [e["id"] for e in client.timeline("nuts")] == ["nuts-1", "nuts-2"]
    client.key = "wrong"
    with pytest.raises(Refused) as refused:
        client.status("nuts")
    assert refused.value.status == 401
    client.urls["host"] = "http://127.0.0.1:9"
    with pytest.raises(Unreachable, match="does not answer"):
        client.status("nuts")


def test_followers_hear_each_event_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(client)
    first = list(follower.news())
    assert first[0] == "nuts: 40 labelled images, 1 dataset version, no champion yet. Waiting."
    assert len(first) == 3
    assert list(follower.news()) == []
    third = {**EVENT, "id": "nuts-3", "data": {"reason": "enough labels"}}
    monkeypatch.setitem(ANSWERS, "/api/loops/nuts/timeline?limit=200", {"events": [third, EVENT]})
    [line] = list(follower.news())
    assert "dataset.registered" in line
    assert "enough labels" in line
