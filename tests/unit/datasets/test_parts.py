"""What a dataset version more costs: only the parts of buckets that changed are read and written."""

from __future__ import annotations

import pytest

from services.cloud.fakes import FakeBlobStore
from services.datasets import files
from services.datasets.members import recovered_splits
from services.datasets.parts import LEGACY_MEMBERS_FILE, PARTS_FILE, Part, files_of, members, read_parts
from services.datasets.reading import holdout
from services.errors import UpstreamBusy
from services.state import DatasetVersion
from tests.support.dataset_house import LOOP, House, picture, voc

IMAGES = 192
FOLDER = f"datasets/{LOOP}/"


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """Many buckets, about a dozen images each."""
    monkeypatch.setattr("services.catalogue.working.BUCKET_FILES", 25)
    made = House()
    made.labelled(IMAGES)
    return made


def parts_of(house: House, number: int = -1) -> list[Part]:
    return read_parts(house.fakes.system, house.state.datasets[number])


def written(house: House, monkeypatch: pytest.MonkeyPatch, call: str = "write") -> list[str]:
    """Names of blobs below the loop's datasets that are written, or read, from now on."""
    names: list[str] = []
    real = getattr(FakeBlobStore, call)

    def note(store: FakeBlobStore, name: str, *args: object, **others: object) -> object:
        if store is house.fakes.system and name.startswith((FOLDER, f"catalogue/{LOOP}/bucket")):
            names.append(name)
        return real(store, name, *args, **others)

    monkeypatch.setattr(FakeBlobStore, call, note)
    return names


def test_parts_hold_every_image_once(house: House) -> None:
    version = house.settle().datasets[0]
    parts = parts_of(house)
    assert len(parts) >= 16
    assert len({m.content for m in members(house.fakes.system, version)}) == IMAGES
    assert len(house.lines("train")) == version.train_images
    assert len(holdout(house.fakes.system, version)) == version.validation_images
    assert all(blob in house.fakes.system.blobs for part in parts for blob in part.blobs)


def test_one_image_more_writes_the_parts_of_one_bucket(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.settle()
    before = parts_of(house)
    house.put(f"images/{IMAGES}.png", picture(IMAGES))
    house.put(f"images/{IMAGES}.xml", voc(("nut", (1, 2, 3, 4))))
    house.step()
    house.fakes.clock.advance(60)
    names = written(house, monkeypatch)
    read = written(house, monkeypatch, "read")
    house.step()
    shared = [n for n in names if n.startswith(f"{FOLDER}parts/")]
    own = sorted(n.removeprefix(house.state.datasets[1].folder) for n in names if n not in shared)
    assert len(shared) == 2  # the lines of one side, and the facts
    assert own == ["diff.json", PARTS_FILE, "train/MLTable", "validation/MLTable", "version.json"]
    assert len([n for n in read if n.startswith("catalogue/")]) == 1
    assert len(set(before) & set(parts_of(house))) == len(before) - 1
    assert holdout(house.fakes.system, house.state.datasets[0])


def test_a_label_file_written_anew_with_the_same_labels_writes_no_lines(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.settle()
    house.put("images/000.xml", voc(("nut", (8, 6, 32, 24))) + b"\n")
    house.labelled(1, start=IMAGES)
    names = written(house, monkeypatch)
    house.settle()
    assert len([n for n in names if n.endswith(".jsonl")]) == 1


def test_writing_yields_and_goes_on_where_it_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.step()
    house.fakes.clock.advance(60)
    house.time_left = lambda: 0.0
    read = written(house, monkeypatch, "read")
    steps = 0
    while house.state.dataset is None:
        assert house.step() == 0.0
        steps += 1
    count = len(parts_of(house))
    assert steps == count
    assert len([n for n in read if n.startswith("catalogue/")]) == count
    assert house.kinds().count("dataset.registered") == 1


def test_a_killed_process_loses_few_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "NOTED_EVERY", 4)
    house.step()
    house.fakes.clock.advance(60)
    names = written(house, monkeypatch)
    house.fakes.on_call = lambda call: die(call, names)
    with pytest.raises(UpstreamBusy):
        house.step()
    house.fakes.on_call = lambda _: None
    names.clear()
    read = written(house, monkeypatch, "read")
    house.settle()
    assert len([n for n in read if n.startswith("catalogue/")]) == len(parts_of(house)) - 8


def die(call: str, names: list[str]) -> None:
    if call == "before:blob.write" and len([n for n in names if n.endswith(".json") and f"{FOLDER}parts/" in n]) == 10:
        raise UpstreamBusy("killed")


def test_a_version_from_before_there_were_parts_is_read(house: House) -> None:
    version = house.settle().datasets[0]
    old = version.model_copy(update={"folder": "datasets/parts/old/"})
    system = house.fakes.system
    system.write(old.folder + LEGACY_MEMBERS_FILE, b'{"c1": ["l1", "train"], "c2": ["l2", "validation"]}')
    assert recovered_splits(system, LOOP, [old]) == {"c1": "train", "c2": "validation"}
    assert files_of(system, old, "train") == ["datasets/parts/old/train/train_annotations.jsonl"]
    gone = DatasetVersion.model_validate(old.model_dump() | {"folder": "datasets/parts/gone/"})
    assert recovered_splits(system, LOOP, [gone]) == {}


def test_a_side_without_images_is_an_empty_file(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    house.labelled(12)
    house.settle()
    names = written(house, monkeypatch)
    context_version = house.state.datasets[0]
    from services.context import LoopContext

    context = LoopContext(house.fakes.cloud(), house.state, lambda _: None, lambda: 100.0)
    files.write_tables(context, context_version, [Part("k", f"{FOLDER}parts/1.jsonl", "", "")])
    table = house.fakes.system.blobs[f"{context_version.folder}validation/MLTable"].data.decode()
    assert [n for n in names if n.endswith(".jsonl")] == [n for n in names if f"/{n}\n" in table]
