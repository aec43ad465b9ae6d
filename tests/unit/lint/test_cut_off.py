from __future__ import annotations

import io
import random
from functools import cache

import pytest
from PIL import Image

from services.catalogue.cut_off import TAIL, cut_off, ends_well
from services.catalogue.images import HEADER
from services.catalogue.listing import Listing
from services.catalogue.reading import FileReader
from services.cloud.fakes import FakeBlobStore, fake_settings
from tests.support.dataset_house import BOX, House, voc

KINDS = ["jpeg", "png", "bmp", "webp", "tiff"]


@cache
def noise(kind: str, side: int = 90) -> bytes:
    out = io.BytesIO()
    pixels = random.Random(1).randbytes(3 * side * side)
    Image.frombytes("RGB", (side, side), pixels).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_whole(kind: str) -> None:
    assert cut_off(kind, noise(kind)) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_cut(kind: str, share: float) -> None:
    data = noise(kind)
    assert cut_off(kind, data[: int(share * len(data))]) != ""


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp"])
@pytest.mark.parametrize("trailer", [b"\0" * 400, b"a motion photograph's film " * 40])
def test_a_trailer_behind_the_end_is_no_cut(kind: str, trailer: bytes) -> None:
    assert cut_off(kind, noise(kind) + trailer) == ""


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "webp"])
def test_the_end_alone_settles_what_is_whole(kind: str) -> None:
    data = noise(kind)
    assert ends_well(kind, data[:64], data[-TAIL:], len(data)) is True
    half = data[: len(data) // 2]
    assert not ends_well(kind, half[:64], half[-TAIL:], len(half))


def read(store: FakeBlobStore, *, thorough: bool) -> dict[str, str]:
    files = Listing.of("parts", store.list("parts/")).files
    reader = FileReader(store, fake_settings(), thorough)
    store.calls.clear()
    found = {path: reader.read(path, blob) for path, blob in files.items()}
    return {path: getattr(getattr(entry, "problem", None), "code", "") for path, entry in found.items()}


def test_a_large_image_costs_no_more_calls_unless_thorough() -> None:
    store, data = FakeBlobStore(), noise("jpeg", 400)
    assert len(data) > HEADER + 20_000
    store.write("parts/images/whole.jpg", data)
    store.write("parts/images/cut.jpg", data[: HEADER + 9000])
    assert read(store, thorough=False) == {"images/cut.jpg": "", "images/whole.jpg": ""}
    assert store.calls == ["read", "read"]
    assert read(store, thorough=True) == {"images/cut.jpg": "image-truncated", "images/whole.jpg": ""}
    assert store.calls == ["read"] * 5, "the tail of each, and all of the one that does not end well"


def test_a_small_one_is_left_out_by_the_service_too() -> None:
    house = House()
    house.put("images/a.jpg", noise("jpeg")[:5000])
    house.put("images/a.xml", voc(("nut", BOX), size=(90, 90)))
    assert house.calls_of_a_look() == ["list", "read", "stream"]
    [found] = house.state.catalogue.problems
    assert (found.code, found.file, found.severity) == ("image-truncated", "images/a.jpg", "error")
    assert house.state.catalogue.labelled == 0
