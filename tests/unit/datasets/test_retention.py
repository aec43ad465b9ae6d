"""Old dataset versions go where loop.yaml says so, with the files that only they have."""

from __future__ import annotations

import pytest

from services.datasets.members import archived_sides
from services.datasets.parts import files_of, members, parts_folder, read_parts
from services.datasets.reading import holdout
from services.state import LoopState, TrainingRun
from tests.support.dataset_house import LOOP, House

VERSIONS = 5


class Killed(BaseException):
    """The process died here."""


def aged(keep: int = 0) -> House:
    """Five versions, an image more each; the first was trained on."""
    house = House()
    house.configure(retention={"dataset_versions": 0})
    house.labelled(12)
    house.settle()

    def train(state: LoopState) -> None:
        now = house.fakes.clock()
        state.runs.append(
            TrainingRun(number=1, job="j", dataset_version=1, config_hash="c", status="completed", intended=now)
        )

    house.change_state(train)
    for i in range(12, 11 + VERSIONS):
        house.labelled(1, start=i)
        house.settle()
    house.configure(retention={"dataset_versions": keep})
    return house


def test_all_are_kept_unless_said_otherwise() -> None:
    assert [v.number for v in aged().settle().datasets] == [1, 2, 3, 4, 5]


def test_what_is_not_used_goes_with_the_files_that_only_it_has() -> None:
    house = aged(keep=2)
    folders = {v.number: v.folder for v in house.state.datasets}
    state = house.settle()
    assert [v.number for v in state.datasets] == [1, 4, 5]
    assert house.fakes.workspace.archived_tables == {(f"{LOOP}-{s}", n) for s in ("train", "validation") for n in "23"}
    blobs = house.fakes.system.blobs.keys()
    assert not [b for b in blobs if b.startswith((folders[2], folders[3]))]
    kept = {b for v in state.datasets for part in read_parts(house.fakes.system, v) for b in part.blobs}
    assert {b for b in blobs if b.startswith(parts_folder(LOOP))} == kept
    for version in state.datasets:
        assert len(holdout(house.fakes.system, version)) == version.validation_images
    told = [e.data for e in house.told if e.type == "visionloop.dataset.archived"]
    assert [(d["number"], d["parts_deleted"] > 0) for d in told] == [(2, True), (3, True)]


def test_a_next_version_is_made_of_what_is_left() -> None:
    house = aged(keep=1)
    house.settle()
    house.labelled(1, start=40)
    state = house.settle()
    assert [v.number for v in state.datasets] == [1, 6]
    assert len(house.lines("train")) + len(house.lines("validation")) == 17


def test_content_of_a_version_that_is_gone_makes_a_new_one() -> None:
    house = aged(keep=1)
    house.settle()
    for i in (13, 14, 15):
        house.remove(f"images/{i:03}.png")
        house.remove(f"images/{i:03}.xml")
    assert [(v.number, v.images) for v in house.settle().datasets] == [(1, 12), (6, 13)]


def test_where_another_versions_list_is_gone_no_part_is_deleted() -> None:
    house = aged(keep=1)
    house.fakes.system.delete(f"{house.state.datasets[0].folder}parts.json")
    before = {b for b in house.fakes.system.blobs if b.startswith(parts_folder(LOOP))}
    assert [v.number for v in house.settle().datasets] == [1, 5]
    assert {b for b in house.fakes.system.blobs if b.startswith(parts_folder(LOOP))} == before


def test_no_image_changes_sides_although_its_version_and_the_catalogue_are_gone() -> None:
    house = aged()
    sides = {m.content: m.side for m in members(house.fakes.system, house.state.datasets[-1])}
    for i in (12, 13, 14, 15):
        house.remove(f"images/{i:03}.png")
        house.remove(f"images/{i:03}.xml")
    house.labelled(1, start=60)
    house.settle()
    house.configure(retention={"dataset_versions": 1})
    assert [v.number for v in house.settle().datasets] == [1, 6]
    for name in [b for b in house.fakes.system.blobs if b.startswith(f"catalogue/{LOOP}/")]:
        house.fakes.system.delete(name)
    house.labelled(4, start=12)
    version = house.settle().datasets[-1]
    again = {m.content: m.side for m in members(house.fakes.system, version)}
    assert sides.items() <= again.items()
    assert len(again) == 17
    assert archived_sides(house.fakes.system, LOOP).items() <= again.items()


def test_the_sides_of_a_version_from_before_there_were_parts_are_remembered() -> None:
    house = aged(keep=1)
    old = house.state.datasets[1]
    house.fakes.system.delete(f"{old.folder}parts.json")
    house.fakes.system.write(f"{old.folder}members.json", b'{"c1": ["l1", "validation"]}')
    house.settle()
    assert archived_sides(house.fakes.system, LOOP)["c1"] == "validation"


def outcome(house: House) -> object:
    state = house.settle()
    files = sorted(b for b in house.fakes.system.blobs if b.startswith("datasets/"))
    events = {e.id: e.type for e in house.told}
    lines = [files_of(house.fakes.system, v, "train") for v in state.datasets]
    return [v.number for v in state.datasets], files, sorted(events.values()), lines


REFERENCE = outcome(aged(keep=2))


@pytest.mark.parametrize("line", range(0, 60, 7))
def test_killed_at_any_outside_call_it_ends_the_same(line: int) -> None:
    house, calls = aged(keep=2), 0

    def count(_: str) -> None:
        nonlocal calls
        calls += 1
        if calls - 1 == line:
            raise Killed

    house.fakes.on_call = count
    with pytest.raises(Killed):
        house.settle()
    house.fakes.on_call = lambda _: None
    assert outcome(house) == REFERENCE
