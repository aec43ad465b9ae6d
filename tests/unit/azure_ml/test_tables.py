from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.exceptions import ResourceNotFoundError

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import AzureError
from emulator.azure_ml.store import Store
from emulator.azure_ml.tables import Place, Tables, read_uri

TABLE = "paths:\n- file: ./a.jsonl\n- file: more/b.jsonl\n"
LONG = "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/data/paths"


class Container:
    """Blobs in memory, with what the SDK's client offers of them."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.reads: list[str] = []

    def download_blob(self, name: str) -> Any:
        self.reads.append(name)
        if name not in self.blobs:
            raise ResourceNotFoundError("no blob")
        data = self.blobs[name]
        return SimpleNamespace(readall=lambda: data, properties=SimpleNamespace(etag=str(hash(data))))


class House:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "x.sqlite")
        self.tables = Tables(Config(folder, "https://localhost:1", "s", "g", "w", [], "secret"), self.store)
        self.data, self.system = Container(), Container()
        self.tables._containers = cast("Any", {"data": self.data, "system": self.system})
        address = "azureml://datastores/system/paths/cats/v1/"
        self.store.put("data", "cats/versions/1", {"properties": {"dataUri": address, "dataType": "mltable"}})

    def write(self, table: str = TABLE, **files: list[Any]) -> None:
        self.system.blobs["cats/v1/MLTable"] = table.encode()
        for name, lines in files.items():
            text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
            self.system.blobs[f"cats/v1/{'more/' if name == 'b' else ''}{name}.jsonl"] = text.encode()

    def rows(self) -> list[dict[str, Any]]:
        return self.tables.rows(".../data/cats/versions/1")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    found = House(tmp_path)
    found.data.blobs = {f"{n}.JPG": f"image {n}".encode() for n in range(4)}
    yield found
    found.store.close()


def line(number: int, **details: Any) -> dict[str, Any]:
    return {"image_url": f"{LONG}/{number}.JPG", "image_details": details, "label": [{"label": "cat"}]}


@pytest.mark.parametrize("uri", ["azureml://datastores/data/paths/a%20b/c.jpg", f"{LONG}/a%20b/c.jpg"])
def test_short_and_long_addresses(uri: str) -> None:
    assert read_uri(uri) == Place("data", "a b/c.jpg")


@pytest.mark.parametrize("uri", ["", "https://x/y", "azureml://datastores/data", "azureml://jobs/a/outputs/b"])
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(AzureError) as found:
        read_uri(uri)
    assert found.value.status == 400


def test_rows_are_local_files_with_labels(house: House) -> None:
    house.write(a=[line(0, width=32, height=24)], b=[line(1)])
    first, second = house.rows()
    assert (first["width"], first["height"], first["label"]) == (32, 24, [{"label": "cat"}])
    assert (second["width"], second["height"]) == (None, None)
    assert Path(first["image"]).read_bytes() == b"image 0"
    assert Path(first["image"]).suffix == ".jpg"
    assert first["image"] != second["image"]


def test_a_table_may_list_addresses(house: House) -> None:
    long = LONG.replace("datastores/data/", "datastores/system/")
    house.write(TABLE.replace("./a.jsonl", f"{long}/shared/a.jsonl"), b=[line(1)])
    house.system.blobs["shared/a.jsonl"] = json.dumps(line(0)).encode()
    assert [Path(row["image"]).read_bytes() for row in house.rows()] == [b"image 0", b"image 1"]
    house.write(TABLE.replace("./a.jsonl", "azureml://elsewhere/a.jsonl"))
    with pytest.raises(AzureError, match="no azureml://"):
        house.rows()


def test_a_changed_image_is_another_file(house: House) -> None:
    house.write(a=[line(0)], b=[line(1)])
    before = house.rows()[0]["image"]
    assert house.rows()[0]["image"] == before
    house.data.blobs["0.JPG"] = b"another"
    after = house.rows()[0]["image"]
    assert Path(before).read_bytes() == b"image 0"
    assert Path(after).read_bytes() == b"another"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{"], "line 1"),
        ([line(0), "[" * 3000], "line 2"),
        ([line(0), {"label": "x"}], "line 2"),
        ([{"image_url": 3, "label": "x"}], "line 1"),
        ([{"image_url": "https://x/y.jpg", "label": "x"}], "line 1"),
        ([line(0), line(9)], "9.JPG does not exist"),
        ([], "no rows"),
    ],
)
def test_what_a_table_gets_wrong_is_told_by_its_place(house: House, lines: list[Any], said: str) -> None:
    house.write(a=lines, b=[])
    with pytest.raises(AzureError, match=said) as found:
        house.rows()
    assert (found.value.status, found.value.code) == (400, "UserError")


def test_blank_lines_are_none_and_a_label_may_hold_a_line_separator(house: House) -> None:
    odd = json.dumps({**line(0), "label": "a\u2028b"}, ensure_ascii=False)
    house.write(a=["", odd, "  ", {**line(1), "image_details": 3}], b=[])
    assert [r["label"] for r in house.rows()] == ["a\u2028b", [{"label": "cat"}]]


def test_bytes_that_are_no_text_are_a_bad_line(house: House) -> None:
    house.write(a=[line(0)], b=[])
    house.system.blobs["cats/v1/a.jsonl"] += b"\n\xff\xfe{}"
    with pytest.raises(AzureError, match=r"cats/v1/a\.jsonl, line 2"):
        house.rows()
    house.system.blobs["cats/v1/MLTable"] = b"\xff\xfe\x00"
    with pytest.raises(AzureError, match="names no files"):
        house.rows()


def test_a_folder_without_a_table(house: House) -> None:
    with pytest.raises(AzureError, match="MLTable does not exist"):
        house.rows()
    for table in ("transformations: []", "paths: 3", "[]", "", "paths: [{folder: x}]", "a: [", "\x00"):
        house.write(table)
        with pytest.raises(AzureError, match="names no files"):
            house.rows()


def test_an_asset_that_is_not_there(house: House) -> None:
    with pytest.raises(AzureError, match="cats:2"):
        house.tables.asset("azureml:cats:2")
    assert house.tables.asset("azureml:cats:1") == Place("system", "cats/v1/")
