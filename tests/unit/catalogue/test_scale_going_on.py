"""Long work goes on after it yielded and after it was killed: what was committed is not read again."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest

from services.catalogue import refresh
from services.datasets import observe
from services.state import CatalogueState
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc
from tests.support.stages import Killed

IMAGES, SLICE = 24, 4


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "BATCH", SLICE)


def house_of(images: int = IMAGES) -> House:
    """Labels of every kind that meet each other in all buckets; each look has time for one batch."""
    house = House()
    names = [f"{n:03}.png" for n in range(images)]
    for number, name in enumerate(names):
        house.put(f"images/{name}", picture(number))
    house.put("labels/all.json", coco({name: [("nut", BOX)] for name in names}))
    for number in range(0, images, 3):
        house.put(f"images/{number:03}.xml", voc(("bolt", BOX)))
    left = count(0, -1)
    house.time_left = lambda: 1000.0 + observe.SLICE_SECONDS * next(left)
    return house


def reads_of(house: House) -> int:
    found = Counter(house.fakes.data.calls)
    return found["read"] + found["stream"]


def files_of(house: House) -> int:
    return len([name for name in house.fakes.data.blobs if name.startswith(f"{LOOP}/")])


def comparable(found: CatalogueState) -> dict[str, object]:
    return found.model_dump(exclude={"fingerprint", "blob", "first_change", "last_change"})


def test_each_slice_is_committed_although_there_is_time() -> None:
    house = house_of()
    assert house.step() == 0.0
    assert house.state.reasons["dataset"] == f"Read {SLICE} of {files_of(house)} changed files so far"
    house.settle()
    assert reads_of(house) == files_of(house)
    whole = house_of()
    whole.time_left = lambda: 100.0
    whole.settle()
    assert comparable(house.state.catalogue) == comparable(whole.state.catalogue)


def test_killed_at_any_write_only_the_slice_under_way_is_read_again() -> None:
    whole = house_of()
    whole.settle()
    writes = len([c for c in whole.fakes.system.calls if c == "write"])
    assert writes > 2 * files_of(whole) // SLICE
    for number in range(writes):
        house = house_of()
        left = count(number, -1)

        def die(call: str, left: count[int] = left) -> None:
            if call == "before:blob.write" and next(left) == 0:
                raise Killed(call)

        house.fakes.on_call = die
        try:
            house.settle()
        except Killed:
            house.settle()
        assert reads_of(house) <= files_of(house) + SLICE
        assert comparable(house.state.catalogue) == comparable(whole.state.catalogue)
        assert len(house.state.datasets) == 1


def test_killed_at_every_slice_once_it_still_ends() -> None:
    """A host that lives for one slice at most: each life commits, so each life gets further."""
    house = house_of()
    for life in count():
        assert life < 3 * IMAGES
        written: list[str] = []

        def die(call: str, written: list[str] = written) -> None:
            written.append(call)
            if written.count("after:blob.write") == 12:
                raise Killed(call)

        house.fakes.on_call = die
        try:
            house.settle()
        except Killed:
            continue
        break
    assert life > 2
    assert reads_of(house) <= files_of(house) + life * SLICE
    assert house.state.catalogue.labelled == IMAGES


def test_large_label_files_are_not_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of(3)
    for number in range(4):
        house.put(f"labels/more-{number}.json", coco({"000.png": [("nut", BOX)]}))
    monkeypatch.setattr(refresh, "BATCH", 100)
    monkeypatch.setattr(refresh, "BATCH_BYTES", 1)
    steps = 1
    while house.step() == 0.0:
        steps += 1
    assert steps > 5
    assert reads_of(house) == files_of(house)
