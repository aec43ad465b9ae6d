"""The dataset stage through whole histories: killed at any line, and whatever users do with their images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.datasets.parts import PARTS_FILE, SIDES, members, read_parts
from tests.support.dataset_house import BOX, House, coco, picture, voc
from tests.support.stages import Killed


def uploads(house: House) -> None:
    house.configure(quiet_period_seconds=0)
    house.labelled(12)
    house.put("labels/l.json", coco({"x.png": [("washer", BOX)], "y.png": [("washer", BOX)]}))
    house.put("images/x.png", picture(60))
    house.put("images/bad.png", b"bad")


def more_uploads(house: House) -> None:
    house.labelled(2, start=20)
    house.put("images/y.png", picture(61))
    house.remove("images/003.png")


def outcome(house: House) -> dict[str, object]:
    state, system = house.state, house.fakes.system
    files = {n: b.data for n, b in system.blobs.items() if n.startswith("datasets/")}
    parts = [[replace(p, key="") for p in read_parts(system, v)] for v in state.datasets]  # keys are of the catalogue
    return {
        "versions": [v.model_dump(exclude={"created"}) for v in state.datasets],
        "catalogue": state.catalogue.model_dump(exclude={"first_change", "last_change", "blob"}),
        "files": {n: d for n, d in files.items() if not n.endswith(("version.json", PARTS_FILE))},
        "parts": parts,
        "tables": house.fakes.workspace.tables,
        "events": sorted(f"{e.id} {e.type} {e.data['reason']}" for e in {e.id: e for e in house.told}.values()),
    }


def life(house: House, kill_at: int = -1) -> int:
    """Two bursts, with one death at that outside call; returns how many calls there were."""
    calls = 0

    def count(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls - 1 == kill_at:
            raise Killed

    for burst in (uploads, more_uploads):
        burst(house)
        house.fakes.on_call = count
        try:
            house.settle()
        except Killed:
            house.fakes.clock.advance(5)
            house.settle()
        house.fakes.on_call = lambda _: None
    return calls


REFERENCE = House()
CALLS = life(REFERENCE)


@pytest.mark.parametrize("line", range(CALLS))
def test_killed_at_any_outside_call_it_ends_the_same(line: int) -> None:
    house = House()
    life(house, kill_at=line)
    assert outcome(house) == outcome(REFERENCE)
    assert [v.number for v in house.state.datasets] == [1, 2]
    house.put("images/unlabelled.png", picture(99))
    house.settle()
    assert sum(name.startswith("catalogue/") for name in house.fakes.system.blobs) == 3


Change = tuple[str, int, int]
changes: st.SearchStrategy[list[list[Change]]] = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "put", "move", "remove", "overwrite"]), st.integers(0, 14), st.integers(0, 9)
        ),
        min_size=1,
        max_size=8,
    ),
    min_size=2,
    max_size=4,
)


def change(house: House, kind: str, content: int, name: int) -> None:
    if kind == "remove":
        house.remove(f"images/{name}.png")
        return
    house.put(f"images/{name if kind != 'move' else name + 100}.png", picture(content))
    house.put(f"images/{name if kind != 'move' else name + 100}.xml", voc(("nut" if content % 3 else "bolt", BOX)))


@settings(max_examples=40, deadline=None)
@given(changes)
def test_an_image_that_was_ever_on_one_side_is_never_on_the_other(bursts: list[list[Change]]) -> None:
    """Invariant 3, by content, over deletion, renaming, overwriting and re-upload."""
    house = House()
    house.labelled(10, start=15)
    ever: dict[str, set[str]] = {"train": set(), "validation": set()}
    for burst in bursts:
        for kind, content, name in burst:
            change(house, kind, content, name)
        for digest, side in _registered(house).items():
            ever[side].add(digest)
        assert not ever["train"] & ever["validation"]


def _registered(house: House) -> dict[str, str]:
    """The side of each content of the current version."""
    version = house.settle().datasets[-1]
    names = Counter(line["image_url"] for side in SIDES for line in house.lines(side))
    assert set(names.values()) == {1}
    return {member.content: member.side for member in members(house.fakes.system, version)}
