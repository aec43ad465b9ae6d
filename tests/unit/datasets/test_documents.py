"""What people see of dataset versions, and get as exports, over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from services import wiring
from services.datasets.documents import Datasets
from services.errors import BadRequest, NotFound, RangeNotSatisfiable, TooLarge
from services.export import exports as exporting
from services.export import store
from services.export.exports import Exports
from services.loop_config import LoopConfig
from services.state import LoopState
from services.state_store import StateStore
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc
from tests.support.http_request import functions, request


@pytest.fixture
def house() -> House:
    made = House()
    made.labelled(12)
    made.settle()
    made.put("images/001.xml", voc(("nut", BOX)))
    made.put("images/y.png", picture(50))
    made.put("labels/l.json", coco({"y.png": [("nut", BOX)]}))
    made.settle()
    return made


def datasets(house: House) -> Datasets:
    return Datasets(StateStore(house.fakes.system, house.fakes.clock), house.fakes.system)


def exports(house: House) -> Exports:
    return Exports(StateStore(house.fakes.system, house.fakes.clock), house.fakes.system)


def test_versions_with_what_they_hold_and_change(house: House) -> None:
    second, first = datasets(house).listing(LOOP)["versions"]
    assert (first["number"], first["current"], second["current"]) == (1, False, True)
    assert second["diff"] == {"before": 1, "added": 1, "changed": 0, "removed": 0, "relabelled": 1, "renamed": 0}
    assert (second["images"], second["images_per_class"]) == (13, {"bolt": 5, "nut": 8})
    assert datasets(house).version(LOOP, "2") == second
    assert "folder" not in second


def test_changed_images_and_label_files_by_pages(house: House) -> None:
    found = datasets(house)
    assert found.changes(LOOP, "2", {})["images"] == ["images/y.png"]
    assert found.changes(LOOP, "2", {"kind": "relabelled"})["images"] == ["images/001.png"]
    page = found.labels(LOOP, "2", {"limit": "2", "offset": "11"})
    assert (page["count"], page["by_format"], page["next"]) == (13, {"coco": 1, "voc": 12}, None)
    assert [(f["file"], f["format"], f["records"]) for f in page["files"]] == [
        ("images/011.xml", "voc", 1),
        ("labels/l.json", "coco", 1),
    ]
    assert found.labels(LOOP, "2", {"limit": "2"})["next"] == 2


@pytest.mark.parametrize(
    ("number", "query", "error"),
    [
        ("3", {}, NotFound),
        ("x", {}, NotFound),
        ("2", {"kind": "all"}, BadRequest),
        ("2", {"limit": "1001"}, BadRequest),
        ("2", {"offset": "-1"}, BadRequest),
    ],
)
def test_what_is_asked_wrongly(house: House, number: str, query: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        datasets(house).changes(LOOP, number, query)


def test_a_version_being_registered_is_none_yet(house: House) -> None:
    def begin(state: LoopState) -> None:
        state.datasets[1].status = "registering"

    house.change_state(begin)
    with pytest.raises(NotFound):
        datasets(house).version(LOOP, "2")
    assert [v["current"] for v in datasets(house).listing(LOOP)["versions"]] == [False, True]


def test_an_export_is_written_once_and_is_as_the_version(house: House) -> None:
    answer = exports(house).export(LOOP, "2", "coco", "")
    content = json.loads(answer.body)
    assert (answer.status, answer.content_type, len(content["images"])) == (200, "application/json", 13)
    assert answer.headers["content-disposition"] == f'attachment; filename="{LOOP}-2-coco.json"'
    writes = house.fakes.system.calls.count("write")
    assert exports(house).export(LOOP, "2", "coco", "").body == answer.body
    assert house.fakes.system.calls.count("write") == writes
    archive = zipfile.ZipFile(io.BytesIO(exports(house).export(LOOP, "2", "jsonl", "").body))
    assert min(archive.namelist()) == "train/MLTable"
    archive = zipfile.ZipFile(io.BytesIO(exports(house).export(LOOP, "2", "yolo", "").body))
    assert archive.read("labels/y.txt") == b"1 0.375000 0.375000 0.500000 0.500000\n"


def test_ranges_put_together_are_the_whole(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = exports(house).export(LOOP, "1", "coco", "").body
    size = len(whole)
    monkeypatch.setattr(store, "BLOCK", 100)
    monkeypatch.setattr(exporting, "MOST", 400)
    house.fakes.system.delete(f"{house.state.datasets[0].folder}exports/coco-1/export.json")
    got = b""
    while len(got) < size:
        answer = exports(house).export(LOOP, "1", "coco", f"bytes={len(got)}-")
        end = min(len(got) + 400, size)
        assert (answer.status, answer.headers["content-range"]) == (206, f"bytes {len(got)}-{end - 1}/{size}")
        got += answer.body
    assert got == whole
    assert exports(house).export(LOOP, "1", "coco", "bytes=-7").body == whole[-7:]
    assert exports(house).export(LOOP, "1", "coco", "bytes=3-5").body == whole[3:6]
    for wanted in ("", "bytes=1-2,4-5", "items=1-2", "bytes=-"):
        with pytest.raises(TooLarge, match="Range"):
            exports(house).export(LOOP, "1", "coco", wanted)
    for wanted in (f"bytes={size}-", "bytes=5-4"):
        with pytest.raises(RangeNotSatisfiable):
            exports(house).export(LOOP, "1", "coco", wanted)


def test_a_format_that_is_none_or_has_no_place_for_the_task() -> None:
    house = House(LoopConfig(task="image_classification"))
    for i in range(12):
        house.put(f"images/{('can', 'box')[i % 2]}/{i}.png", picture(i))
    house.settle()
    with pytest.raises(BadRequest, match="coco, jsonl, yolo"):
        exports(house).export(LOOP, "1", "voc", "")
    with pytest.raises(BadRequest, match="boxes and outlines"):
        exports(house).export(LOOP, "1", "yolo", "")
    assert all("bbox" not in a for a in json.loads(exports(house).export(LOOP, "1", "coco", "").body)["annotations"])


def test_over_http(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "datasets", lambda: datasets(house))
    monkeypatch.setattr(wiring, "exports", lambda: exports(house))
    app = functions()

    def get(name: str, headers: dict[str, str] | None = None, query: dict[str, str] | None = None, **route: Any) -> Any:
        return app[name].get_user_function()(request(headers=headers, query=query, loop=LOOP, **route))

    assert len(json.loads(get("datasets").get_body())["versions"]) == 2
    assert json.loads(get("dataset", version="1").get_body())["number"] == 1
    assert json.loads(get("dataset_changes", version="2").get_body())["counts"]["relabelled"] == 1
    assert json.loads(get("dataset_labels", version="2").get_body())["count"] == 13
    assert get("dataset", version="9").status_code == 404
    whole = get("dataset_export", version="2")
    assert (whole.status_code, whole.mimetype) == (200, "application/json")
    part = get("dataset_export", {"range": "bytes=0-9"}, {"format": "COCO"}, version="2")
    assert (part.status_code, part.get_body()) == (206, whole.get_body()[:10])
    assert part.headers["content-range"].startswith("bytes 0-9/")
