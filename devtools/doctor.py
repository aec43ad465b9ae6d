"""`dev.py doctor`: what this machine has, what is missing, and how to mend it."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from devtools.cloud import is_free, running
from devtools.console import say
from devtools.install import NEEDED_BYTES, is_installed
from devtools.layout import AZURITE, CLOUD, PORTS, ROOT, VENV, shown, venv_python

Verdict = Literal["ok", "note", "no"]
NEEDED_MEMORY_BYTES, WANTED_MEMORY_BYTES = 2 * 2**30, 4 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `no` means that something will not run before it is mended."""

    verdict: Verdict
    what: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        mend = f"\n{'':<27}-> {self.mend}" if self.mend else ""
        return f"{self.verdict:<5} {self.what:<20} {self.found}{mend}"


def main() -> int:
    """Say every finding; 1 where something prevents running."""
    found = list(findings())
    say("\n".join(map(str, found)))
    wrong = [f.what for f in found if f.verdict == "no"]
    say(f"\nTo mend first: {', '.join(wrong)}." if wrong else "\nEverything that `python3 dev.py demo` needs is here.")
    return int(bool(wrong))


def findings() -> Iterator[Finding]:
    """Everything worth looking at, in the order in which it would fail."""
    yield Finding("ok", "system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield python()
    yield installer()
    yield disk(shutil.disk_usage(ROOT).free, installed=is_installed("app"))
    yield memory(memory_bytes())
    yield writable()
    yield loopback()
    yield packages("app", "demo, serve, bench")
    yield packages("dev", "test, lint")
    yield azurite()
    yield from ports()


def python() -> Finding:
    bits = 64 if sys.maxsize > 2**32 else 32
    found = f"{platform.python_version()}, {bits} bits ({sys.executable})"
    if bits == 32:
        return Finding("no", "Python", found, "install a 64-bit Python: numpy and onnxruntime have no 32-bit builds")
    return Finding("ok", "Python", found)


def installer() -> Finding:
    """Whether `.venv` exists or could be made."""
    if venv_python().exists():
        return Finding("ok", "virtual environment", shown(VENV))
    missing = [m for m in ("venv", "ensurepip") if importlib.util.find_spec(m) is None]
    if missing:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        mend = f"on Debian and Ubuntu: sudo apt install python{version}-venv"
        return Finding("no", "virtual environment", f"this Python lacks {' and '.join(missing)}", mend)
    return Finding("ok", "virtual environment", "will be made by demo, serve or test")


def disk(free: int, *, installed: bool) -> Finding:
    """`free` in bytes; an installation needs most of it."""
    needed = 2**29 if installed else NEEDED_BYTES
    if free < needed:
        return Finding("no", "disk", f"{_gb(free)} free", f"free some: {_gb(needed)} are needed")
    return Finding("ok", "disk", f"{_gb(free)} free")


def memory(total: int | None) -> Finding:
    """`total` in bytes, None where the system does not tell."""
    if total is None:
        return Finding("note", "memory", "unknown", f"training needs about {_gb(NEEDED_MEMORY_BYTES)}")
    if total < NEEDED_MEMORY_BYTES:
        mend = f"training and serving need about {_gb(NEEDED_MEMORY_BYTES)}"
        return Finding("no", "memory", _gb(total), mend)
    if total < WANTED_MEMORY_BYTES:
        return Finding("note", "memory", _gb(total), "enough, but close other programs while a model is trained")
    return Finding("ok", "memory", f"{_gb(total)}, {os.cpu_count()} cores")


def memory_bytes() -> int | None:
    """The machine's memory, as far as the standard library can tell."""
    if sys.platform == "win32":
        return _windows_memory_bytes()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _windows_memory_bytes() -> int | None:
    kilobytes = ctypes.c_ulonglong()
    told = ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))  # type: ignore[attr-defined]
    return kilobytes.value * 1024 if told else None


def writable() -> Finding:
    if os.access(ROOT, os.W_OK):
        return Finding("ok", "project folder", str(ROOT))
    return Finding("no", "project folder", f"{ROOT} cannot be written", "give yourself the right, or clone elsewhere")


def loopback() -> Finding:
    """The certificates and addresses of the local cloud say `localhost`."""
    try:
        found = {str(i[4][0]) for i in socket.getaddrinfo("localhost", None)}
    except OSError:
        found = set()
    if "127.0.0.1" in found:
        return Finding("ok", "localhost", ", ".join(sorted(found)))
    return Finding("no", "localhost", "is not 127.0.0.1", "add the line `127.0.0.1 localhost` to the hosts file")


def packages(group: str, commands: str) -> Finding:
    if is_installed(group):
        return Finding("ok", f"packages ({group})", "as the requirement files say")
    found = "not installed, or older than the requirement files"
    return Finding(
        "note", f"packages ({group})", found, f"nothing to do: {commands} will install them (network needed)"
    )


def azurite() -> Finding:
    if (AZURITE / "installed.json").exists():
        return Finding("ok", "Azurite and Node", shown(AZURITE))
    return Finding("note", "Azurite and Node", "not installed", "nothing to do: demo, serve or test will install them")


def ports() -> Iterator[Finding]:
    """The default ports; a running local cloud of ours is no fault."""
    owner = running(CLOUD)
    if owner is not None:
        yield Finding("ok", "ports", f"used by the local cloud that runs (process {owner})")
        return
    taken = {name: port for name, port in PORTS.items() if not is_free(port)}
    for name, port in taken.items():
        mend = "end that program, or start with --ports auto"
        yield Finding("no", f"port {port}", f"({name}) is taken by another program", mend)
    if not taken:
        yield Finding("ok", "ports", ", ".join(map(str, PORTS.values())))


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GB"
