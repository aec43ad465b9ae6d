"""Everything that survives a restart: resources as JSON by kind and key, and events not yet published."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emulator.state_files import open_database

Body = dict[str, Any]
Rows = list[tuple[str, Body]]
_TABLES = """
CREATE TABLE IF NOT EXISTS resources (
  kind TEXT, key TEXT, body TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (kind, key));
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, event TEXT NOT NULL);
"""


LOST = "its jobs, models and endpoints are lost"


class Store:
    """One SQLite file, shared by the request handlers and the threads of the jobs."""

    def __init__(self, file: Path) -> None:
        """Open or make the file.

        Raises:
            BrokenFile: it is damaged.
        """
        self.lock = threading.RLock()
        """Held over a read and the write that follows from it."""
        self._db = open_database(file, _TABLES, LOST, one_thread=False)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()

    def get(self, kind: str, key: str) -> Body | None:
        """The body of a resource."""
        with self.lock:
            row = self._db.execute("SELECT body FROM resources WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, key: str, body: Body) -> None:
        """Write a resource, which keeps its place in listings."""
        with self.lock:
            self._db.execute(
                "INSERT INTO resources VALUES (?, ?, ?, (SELECT COALESCE(MAX(number), 0) + 1 FROM resources))"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                (kind, key, json.dumps(body)),
            )

    def delete(self, kind: str, key: str) -> None:
        """Forget a resource."""
        with self.lock:
            self._db.execute("DELETE FROM resources WHERE kind = ? AND key = ?", (kind, key))

    def keep_newest(self, kind: str, count: int) -> None:
        """Forget all of a kind but the newest."""
        newest = "SELECT number FROM resources WHERE kind = ? ORDER BY number DESC LIMIT ?"
        with self.lock:
            self._db.execute(
                f"DELETE FROM resources WHERE kind = ? AND number NOT IN ({newest})",  # noqa: S608
                (kind, kind, count),
            )

    def list(self, kind: str, prefix: str = "") -> list[tuple[str, Body]]:
        """Resources of a kind whose key begins so, oldest first."""
        with self.lock:
            rows = self._db.execute(
                "SELECT key, body FROM resources WHERE kind = ? ORDER BY number", (kind,)
            ).fetchall()
        return [(key, json.loads(body)) for key, body in rows if key.startswith(prefix)]

    def add_event(self, event: Body) -> None:
        """Remember an event until it is published."""
        with self.lock:
            self._db.execute("INSERT INTO events (event) VALUES (?)", (json.dumps(event),))

    def events(self) -> Sequence[tuple[int, Body]]:
        """Events not yet published, oldest first."""
        with self.lock:
            rows = self._db.execute("SELECT id, event FROM events ORDER BY id LIMIT 100").fetchall()
        return [(number, json.loads(event)) for number, event in rows]

    def forget_events(self, numbers: Sequence[int]) -> None:
        """Forget these events."""
        with self.lock:
            self._db.executemany("DELETE FROM events WHERE id = ?", [(number,) for number in numbers])
