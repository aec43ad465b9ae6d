from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from services.labels.json_stream import JsonError
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading
from services.labels.whole_file import BATCH, all_or_nothing


def readings(count: int) -> Iterator[Reading]:
    for i in range(count):
        labels = (
            RawLabel("nut", (float(i), 0.5, i + 1.0, 2.0), f"[{i}]", polygons=((1.0, 2.0, 3.0, 4.0, 5.0, float(i)),)),
        )
        yield ImageRecord(f"{i}.jpg", f"[{i}]", labels) if i % 7 else problem("box-invalid", "x", str(i))


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_everything_comes_in_order(count: int) -> None:
    assert [*all_or_nothing("x", readings(count))] == [*readings(count)]


@pytest.mark.parametrize("count", [0, 1, 2 * BATCH + 1])
def test_nothing_comes_of_what_breaks_off_but_the_problem(count: int) -> None:
    def broken() -> Iterator[Reading]:
        yield from readings(count)
        raise JsonError("a[1]", "JSON", "the end")

    expected = problem("json-invalid", "x", "a[1]", expected="JSON", found="the end")
    assert [*all_or_nothing("x", broken())] == [expected]


def test_what_waits_takes_little_memory() -> None:
    waiting = all_or_nothing("x", readings(10 * BATCH))
    tracemalloc.start()
    next(waiting)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 100 * 10 * BATCH
