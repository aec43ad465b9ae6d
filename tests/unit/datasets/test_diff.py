"""What a version changes about the one before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.datasets.diff import Changes, compare, counts, read_changes
from services.datasets.parts import Remembered, parts_folder
from services.state import VersionDiff
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc

paths, contents, labels = st.sampled_from("abcdef"), st.sampled_from("123456"), st.sampled_from("xy")
catalogues = st.dictionaries(paths, st.builds(Remembered, contents, labels, st.just("train")))


def member(content: str, label: str = "x") -> Remembered:
    return Remembered(content, label, "train")


def test_each_kind_of_change() -> None:
    before = {"a": member("1"), "b": member("2"), "c": member("3"), "d": member("4"), "e": member("5")}
    after = {"a": member("1"), "b": member("22", "y"), "c": member("3", "y"), "f": member("4", "y"), "g": member("6")}
    assert compare(before, after) == Changes(["g"], ["b"], ["e"], ["c", "f"], [("d", "f")])


def test_of_two_names_for_a_content_one_was_renamed() -> None:
    assert compare({"a": member("1")}, {"b": member("1"), "c": member("1")}) == Changes(
        added=["c"], renamed=[("a", "b")]
    )
    assert compare({"b": member("1"), "c": member("1")}, {"a": member("1")}) == Changes(
        removed=["c"], renamed=[("b", "a")]
    )


@given(catalogues, catalogues)
def test_what_is_said_leads_from_one_to_the_other(before: dict[str, Remembered], after: dict[str, Remembered]) -> None:
    found = compare(before, after)
    moved = dict(found.renamed)
    kept = {moved.get(path, path): member for path, member in before.items() if path not in found.removed}
    assert kept.keys() | set(found.added) == after.keys()
    assert not kept.keys() & set(found.added)
    for path, was in kept.items():
        assert (path in found.changed) == (was.content != after[path].content)
        same = was.label == after[path].label
        assert (path in found.relabelled) == (not same and path not in found.changed)
    assert compare(after, after) == Changes()
    assert sum(counts(found).values()) <= len(before) + 2 * len(after)


def test_versions_tell_what_changed_and_what_they_were_made_of() -> None:
    house = House()
    house.labelled(12)
    house.settle()
    house.put("images/001.png", picture(99))
    house.put("images/002.xml", voc(("bolt", BOX)))
    house.remove("images/003.png")
    house.put("images/x.png", picture(3))
    house.put("images/y.png", picture(50))
    house.put("labels/l.json", coco({"x.png": [("nut", BOX)], "y.png": [("nut", BOX)]}))
    first, second = house.settle().datasets
    assert (first.diff, first.label_files) == (VersionDiff(added=12), {"voc": 12})
    assert second.diff == VersionDiff(before=1, added=1, changed=1, relabelled=2, renamed=1)
    assert second.label_files == {"coco": 1, "voc": 12}
    found = read_changes(house.fakes.system, second)
    assert found.renamed == [("images/003.png", "images/x.png")]
    assert found.relabelled == ["images/002.png", "images/x.png"]
    assert (found.added, found.changed) == (["images/y.png"], ["images/001.png"])
    told = [e.data for e in house.told if e.type == "visionloop.dataset.registered"][1]
    assert told["diff"]["relabelled"] == 2
    assert read_changes(house.fakes.system, first) == Changes(added=[f"images/{n:03}.png" for n in range(12)])


def test_where_the_version_before_is_gone_nothing_is_claimed() -> None:
    house = House()
    house.labelled(12)
    house.settle()
    for name in [n for n in house.fakes.system.blobs if n.startswith(parts_folder(LOOP))]:
        house.fakes.system.delete(name)
    house.labelled(1, start=12)
    version = house.settle().datasets[1]
    assert (version.status, version.diff) == ("registered", None)
    assert len(house.lines("train")) + len(house.lines("validation")) == 13
