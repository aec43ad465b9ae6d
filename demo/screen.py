"""What the demonstration shows: bars that move on a terminal, plain lines without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

PLAIN_PARTS = 4
"""Without a terminal a bar of many small steps is told so many times."""


class Screen(Protocol):
    """Says what happened, and how far things under way are."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def bar(self, name: str, done: int, total: int, note: str = "") -> None:
        """How far something is; complete ones stay as they are."""


class LiveScreen:
    """For terminals."""

    def __init__(self, progress: Progress) -> None:
        """`progress` is live as long as the screen is used."""
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)

    def bar(self, name: str, done: int, total: int, note: str = "") -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, note="")
        self._progress.update(self._tasks[name], completed=done, total=total, note=note)


class PlainScreen:
    """For logs: a line a step, and a few for what has many steps."""

    def __init__(self, console: Console) -> None:
        """Lines are written to the console."""
        self._console = console
        self._said: dict[str, tuple[int, str]] = {}

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def bar(self, name: str, done: int, total: int, note: str = "") -> None:
        part = done if note else done * PLAIN_PARTS // max(1, total)
        if self._said.get(name) != (part, note):
            self._said[name] = part, note
            self._console.print(f"  {name}: {done}/{total} {note}".rstrip(), highlight=False, markup=False)


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """The screen that suits where we write."""
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[cyan]{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield LiveScreen(progress)
