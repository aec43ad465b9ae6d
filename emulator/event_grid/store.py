"""Deliveries that are still to be made, the place in Azurite's log, and what was delivered lately: one SQLite file."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.state_files import open_database

_TABLES = """
CREATE TABLE IF NOT EXISTS pending (
  id INTEGER PRIMARY KEY, subscription TEXT NOT NULL, event TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, created REAL NOT NULL);
CREATE INDEX IF NOT EXISTS pending_due ON pending (subscription, due);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log (
  id INTEGER PRIMARY KEY, subscription TEXT, event TEXT, type TEXT, outcome TEXT, attempts INTEGER, time REAL);
CREATE TABLE IF NOT EXISTS published (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, event TEXT NOT NULL);
"""
_LOG_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Pending:
    """One event on its way to one subscription."""

    id: int
    event: dict[str, Any]
    attempts: int
    created: float


class Store:
    """Used from one thread, in short transactions."""

    def __init__(self, file: Path) -> None:
        """Open or make the file.

        Raises:
            BrokenFile: it is damaged.
        """
        self._db = open_database(file, _TABLES, "events that wait are lost, and Azurite's log is read again")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def number(self, name: str) -> int:
        """A remembered number; 0 at first."""
        row = self._db.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def add(self, rows: Iterable[tuple[str, dict[str, Any], float]], numbers: dict[str, int]) -> None:
        """Add deliveries (subscription, event, due) and remember numbers, both or neither."""
        now = time.time()
        values = [(name, json.dumps(event), due, now) for name, event, due in rows]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO pending (subscription, event, due, created) VALUES (?, ?, ?, ?)", values)
            self._db.executemany("INSERT OR REPLACE INTO numbers VALUES (?, ?)", list(numbers.items()))

    def due(self, subscription: str, held: Collection[int], most: int) -> list[Pending]:
        """Deliveries whose time has come and that are not `held` (under way), oldest first."""
        rows = self._db.execute(
            "SELECT id, event, attempts, created FROM pending WHERE subscription = ? AND due <= ? ORDER BY due LIMIT ?",
            (subscription, time.time(), most + len(held)),
        )
        free = [row for row in rows if row[0] not in held][:most]
        return [Pending(row[0], json.loads(row[1]), row[2], row[3]) for row in free]

    def waiting(self) -> int:
        """How many deliveries are not made."""
        return int(self._db.execute("SELECT COUNT(*) FROM pending").fetchone()[0])

    def settle(self, subscription: str, done: Iterable[Pending], outcome: str) -> None:
        """Forget deliveries, noting how they ended."""
        rows = list(done)
        log = [(subscription, p.event["id"], p.event["type"], outcome, p.attempts + 1, time.time()) for p in rows]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM pending WHERE id = ?", [(p.id,) for p in rows])
            self.note(log)

    def note(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Note (subscription, event id, type, outcome, attempts, time), keeping the newest thousand."""
        self._db.executemany(
            "INSERT INTO log (subscription, event, type, outcome, attempts, time) VALUES (?, ?, ?, ?, ?, ?)", rows
        )
        self._db.execute("DELETE FROM log WHERE id <= (SELECT MAX(id) FROM log) - ?", (_LOG_ROWS,))

    def retry(self, pending: Iterable[Pending], due: float) -> None:
        """Try again later."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany(
                "UPDATE pending SET attempts = attempts + 1, due = ? WHERE id = ?", [(due, p.id) for p in pending]
            )

    def publish(self, topic: str, events: Iterable[dict[str, Any]]) -> None:
        """Keep what a topic has taken, the newest thousand of all topics."""
        with self._db:
            self._db.execute("BEGIN")
            rows = [(topic, json.dumps(event)) for event in events]
            self._db.executemany("INSERT INTO published (topic, event) VALUES (?, ?)", rows)
            self._db.execute("DELETE FROM published WHERE id <= (SELECT MAX(id) FROM published) - ?", (_LOG_ROWS,))

    def published(self, topic: str) -> list[dict[str, Any]]:
        """What a topic has taken, the newest first."""
        rows = self._db.execute("SELECT event FROM published WHERE topic = ? ORDER BY id DESC", (topic,))
        return [json.loads(event) for (event,) in rows]

    def deliveries(self) -> list[dict[str, Any]]:
        """What ended lately, newest first."""
        names = ("subscription", "event", "type", "outcome", "attempts", "time")
        rows = self._db.execute(f"SELECT {', '.join(names)} FROM log ORDER BY id DESC LIMIT 200")  # noqa: S608
        return [dict(zip(names, row, strict=True)) for row in rows]
