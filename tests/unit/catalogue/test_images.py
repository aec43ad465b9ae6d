from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.catalogue.images import HEADER, ImageFacts, Unreadable, read_facts

ORIENTATION = 274


def picture(kind: str, orientation: int = 1, size: tuple[int, int] = (40, 30), thumbnail: int = 0) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[0x010E] = "x" * thumbnail
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind, **({} if kind == "BMP" else {"exif": exif}))
    return out.getvalue()


def reader(data: bytes, asked: list[int] | None = None) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        (asked if asked is not None else []).append(length)
        return data[offset : offset + length]

    return read


def facts(data: bytes) -> ImageFacts:
    return read_facts(reader(data), len(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_every_kind_is_told_by_its_content(kind: str) -> None:
    assert facts(picture(kind)) == ImageFacts(kind.lower(), 40, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "turned"), [(1, False), (3, False), (6, True), (8, True)])
def test_the_size_is_the_displayed_one(kind: str, orientation: int, turned: bool) -> None:
    expected = ImageFacts(kind.lower(), 30, 40, rotated=True) if turned else ImageFacts(kind.lower(), 40, 30)
    assert facts(picture(kind, orientation)) == expected


def test_only_the_header_is_read() -> None:
    data, asked = picture("JPEG") + b"\0" * 10**6, list[int]()
    assert read_facts(reader(data, asked), len(data)).width == 40
    assert asked == [HEADER]


def test_a_longer_header_is_read_on() -> None:
    filler = b"\xff\xed" + struct.pack(">H", 65000) + b"\0" * 64998
    data = picture("JPEG")
    data, asked = data[:2] + filler * 3 + data[2:] + b"\0" * 10**7, list[int]()
    assert read_facts(reader(data, asked), len(data)) == ImageFacts("jpeg", 40, 30)
    assert asked == [HEADER, 15 * HEADER]


def test_a_bomb_is_told_by_what_it_declares_and_never_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    assert facts(data) == ImageFacts("png", 30_000, 30_000)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0"])
def test_other_bytes_are_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        facts(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_cut_header_is_unreadable(kind: str) -> None:
    with pytest.raises(Unreadable):
        facts(picture(kind)[:20])


@settings(max_examples=200)
@given(st.data())
@pytest.mark.filterwarnings("ignore")
def test_only_unreadable_comes_out_of_hostile_bytes(data: st.DataObject) -> None:
    text = bytearray(picture(data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "WEBP", "TIFF"])), 6))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, min(len(text), 300)))
        text[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=8))
    try:
        found = facts(bytes(text))
    except Unreadable:
        return
    assert found.width > 0
    assert found.height > 0
