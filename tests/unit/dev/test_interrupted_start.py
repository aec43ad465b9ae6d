"""Ctrl-C while the local cloud starts: nothing waits for a storage that will never be there."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from emulator.supervisor import cloud as supervisor
from emulator.supervisor.children import Child
from emulator.supervisor.cloud import LocalCloud, Options
from emulator.supervisor.layout import Layout


def test_whoever_interrupts_a_start_waits_for_no_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = Child("azurite", [sys.executable, "-c", "input()"], {}, tmp_path / "log", lambda: False)
    monkeypatch.setattr(supervisor, "install", lambda *_: None)
    monkeypatch.setattr(supervisor, "provision", lambda _: pytest.fail("nobody answers yet"))
    monkeypatch.setattr(LocalCloud, "_azurite", lambda _: deaf)
    cloud = LocalCloud(Layout.open(tmp_path / "cloud", "auto"), Options(app=None, azurite=tmp_path))
    ends = threading.Event()
    ends.set()
    cloud.start(ends)
    cloud.stop()
    assert deaf.process is not None
    assert deaf.process.returncode is not None
    assert not (tmp_path / "cloud" / "lock").exists()
