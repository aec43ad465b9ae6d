"""Debian's chromium, which looks at a page as a person's browser does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_IT = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt-get install chromium"),
]
ELSEWHERE = {"TZ": "Asia/Kolkata", "LANGUAGE": "en_US"}
"""Half an hour beside UTC's hours: a time that was not turned shows."""
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def dom(address: str, profile: Path, *, seconds: int = 4, width: int = 1200) -> str:
    """The page's elements, after its scripts have run for so many seconds (which pass as fast as they can)."""
    assert CHROMIUM is not None
    time = [f"--virtual-time-budget={seconds * 1000}", f"--window-size={width},1600"]
    command = [CHROMIUM, *_FLAGS, *time, f"--user-data-dir={profile}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, **ELSEWHERE})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
