"""Files of state: written whole or not at all, and said in a sentence where they cannot be read."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

DISK_FULL = "The disk of the local cloud is full: make room, and try again"


class BrokenFile(Exception):
    """A file of state is not what was written there; the message says what to do."""

    def __init__(self, file: Path, lost: str) -> None:
        """`lost` is what goes with the file."""
        super().__init__(f"{file} is damaged: delete it, and it is made anew; {lost}")


def write_json(file: Path, value: object) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(file)


def read_json(file: Path, members: Collection[str], lost: str) -> dict[str, Any]:
    """An object that has these members at least.

    Raises:
        BrokenFile: it is none.
    """
    try:
        found = json.loads(file.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict) or not set(members) <= found.keys():
        raise BrokenFile(file, lost)
    return found


def open_database(file: Path, tables: str, lost: str, *, one_thread: bool = True) -> sqlite3.Connection:
    """A SQLite file with these tables, each write its own transaction.

    Raises:
        BrokenFile: it is no such file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    opened = sqlite3.connect(file, isolation_level=None, check_same_thread=one_thread)
    try:
        opened.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {tables}")
    except sqlite3.OperationalError:  # locked, or no room: the file is well
        opened.close()
        raise
    except sqlite3.DatabaseError:
        opened.close()
        raise BrokenFile(file, lost) from None
    return opened


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no room."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)
