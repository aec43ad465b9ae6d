"""A side is assigned once and never changes: over shards, growth, kills, and what earlier versions of the app stored."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from services.catalogue import refresh, working
from services.catalogue.documents import Index
from services.catalogue.sides import Sides
from services.catalogue.store import CatalogueStore, Splits
from services.cloud.fakes import FakeBlobStore
from services.datasets import observe
from services.datasets.parts import members
from services.datasets.splits import Side
from tests.support.dataset_house import LOOP, House
from tests.support.stages import Killed

CATALOGUE = f"catalogue/{LOOP}/"


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BUCKET_FILES", 6)


def grown(images: int = 24) -> House:
    house = House()
    house.labelled(images)
    house.settle()
    return house


def index_of(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.fakes.system.blobs[house.state.catalogue.blob].data)
    return found


def stored(house: House) -> Splits:
    """Every side in the shards, each content in one of them."""
    shards = [json.loads(house.fakes.system.blobs[blob].data) for blob in index_of(house)["splits"] if blob]
    found = {content: side for shard in shards for content, side in shard.items()}
    assert sum(map(len, shards)) == len(found)
    return found


def of_versions(house: House) -> dict[str, set[Side]]:
    """The sides that any version says of a content."""
    found: dict[str, set[Side]] = {}
    for version in house.state.datasets:
        for member in members(house.fakes.system, version):
            found.setdefault(member.content, set()).add(member.side)
    return found


def test_there_are_as_many_shards_as_buckets_and_each_content_is_in_one() -> None:
    house = grown()
    index = index_of(house)
    assert len(index["splits"]) == len(index["buckets"]) == 8
    assert {content: {side} for content, side in stored(house).items()} == of_versions(house)


def test_one_image_more_reads_and_writes_one_shard() -> None:
    house = grown(20)
    before = set(index_of(house)["splits"])
    calls: list[str] = []
    written, read = house.fakes.system.write, house.fakes.system.read
    house.fakes.system.write = lambda name, *a, **k: (calls.append(f"write {name}"), written(name, *a, **k))[1]  # type: ignore[method-assign]
    house.fakes.system.read = lambda name, **k: (calls.append(f"read {name}"), read(name, **k))[1]  # type: ignore[method-assign]
    house.labelled(1, start=20)
    house.settle()
    of_splits = [call.split()[0] for call in calls if f"{CATALOGUE}splits" in call]
    assert sorted(of_splits) == ["read", "write"]
    assert len(before - set(index_of(house)["splits"])) == 1
    assert len(stored(house)) == 21
    listed = {blob.name for blob in house.fakes.system.list(f"{CATALOGUE}splits")}
    assert listed == set(index_of(house)["splits"]) - {""}


def test_a_picture_that_goes_and_comes_back_under_another_name_keeps_its_side() -> None:
    house = grown()
    before = of_versions(house)
    for number in range(0, 24, 2):
        name = f"images/{number:03}"
        data = {kind: house.fakes.data.blobs[f"{LOOP}/{name}.{kind}"].data for kind in ("png", "xml")}
        for kind in data:
            house.remove(f"{name}.{kind}")
        house.settle()
        for kind, content in data.items():
            house.put(f"images/again-{number}.{kind}", content)
    house.settle()
    assert of_versions(house) == before


def _by_an_earlier_version(house: House) -> None:
    """One document of all sides, and images that do not remember theirs."""
    index, splits = index_of(house), stored(house)
    for ref in index["buckets"]:
        bucket = json.loads(house.fakes.system.blobs[ref["blob"]].data) if ref["blob"] else {"images": {}}
        for image in bucket["images"].values():
            del image["side"]
        if ref["blob"]:
            house.fakes.system.write(ref["blob"], json.dumps(bucket).encode())
    for blob in filter(None, index["splits"]):
        house.fakes.system.delete(blob)
    index["splits"] = f"{CATALOGUE}splits-old.json"
    house.fakes.system.write(index["splits"], json.dumps(splits).encode())
    house.fakes.system.write(house.state.catalogue.blob, json.dumps(index).encode())


def test_what_an_earlier_version_stored_is_dealt_out_and_nobody_changes_sides() -> None:
    house = grown()
    unlabelled = {"0" * 32: "validation"}
    _by_an_earlier_version(house)
    old = f"{CATALOGUE}splits-old.json"
    splits = json.loads(house.fakes.system.blobs[old].data) | unlabelled
    house.fakes.system.write(old, json.dumps(splits).encode())
    before = of_versions(house)
    house.labelled(30)
    house.settle()
    assert len(index_of(house)["splits"]) == len(index_of(house)["buckets"]) == 16
    assert stored(house).items() >= splits.items()
    assert {content: sides for content, sides in of_versions(house).items() if content in before} == before
    assert old not in house.fakes.system.blobs


@pytest.mark.parametrize("earlier", [False, True])
def test_killed_at_any_document_of_the_catalogue_nobody_changes_sides(
    earlier: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "BUCKET_FILES", 24)
    monkeypatch.setattr(refresh, "BATCH", 32)
    really = CatalogueStore._write
    for number in count():
        house = grown(12)
        if earlier:
            _by_an_earlier_version(house)
        before, left, times = of_versions(house), count(number, -1), count(0, -1)

        def write(self: CatalogueStore, *document: Any, left: count[int] = left) -> str:
            if next(left) == 0:
                raise Killed
            return really(self, *document)

        house.labelled(26)
        house.time_left = lambda times=times: 1000.0 + observe.SLICE_SECONDS * next(times)  # type: ignore[misc]
        with monkeypatch.context() as patch:
            patch.setattr(CatalogueStore, "_write", write)
            try:
                house.settle()
                break
            except Killed:
                pass
        house.labelled(1, start=40 + number)  # what is new meanwhile must not shift what was assigned
        house.settle()
        found = of_versions(house)
        assert found.items() >= before.items()
        assert all(len(sides) == 1 for sides in found.values())
        assert {content: {side} for content, side in stored(house).items()} == found
    assert number > 10


def test_a_side_is_given_once() -> None:
    store = CatalogueStore(FakeBlobStore(), LOOP)
    sides = Sides(store, Index(), {"a": "train"})
    sides.assign("a", "validation")
    sides.assign("b", "validation")
    assert (sides["a"], sides["b"], sides.get("c")) == ("train", "validation", None)
    sides.spread(4)
    again = Sides(store, Index(splits=sides.commit()))
    assert (again["a"], again["b"], again.get("c")) == ("train", "validation", None)
    assert again.commit() == sides.commit()
    with pytest.raises(KeyError):
        again["c"]
