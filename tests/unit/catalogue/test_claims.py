"""What uploads say of images is what the header reader finds; where it may not be, the header is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from services.catalogue.claims import claim_of, claim_of_bytes, claimed
from services.catalogue.documents import ImageEntry
from services.catalogue.images import ImageFacts, read_facts
from services.catalogue.reading import FileReader
from services.cloud.fakes import FakeBlobStore, fake_settings
from services.cloud.ports.storage import BlobInfo
from tests.support.dataset_house import BOX, LOOP, House, picture, voc

MD5 = "0123456789abcdef0123456789abcdef"


def md5_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def headed(data: bytes) -> ImageFacts:
    return read_facts(lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_claim_is_what_the_header_says(kind: str, orientation: int) -> None:
    data = picture(7, 320, 200, kind, orientation)
    found = claimed(claim_of_bytes(data), md5_of(data))
    assert found == headed(data)
    assert found.rotated == (orientation in {6, 8} and kind != "BMP")


def test_a_large_file_is_not_read_as_a_whole() -> None:
    out = BytesIO()
    Image.effect_noise((900, 700), 90).save(out, "JPEG", quality=95)
    data, asked = out.getvalue(), list[int]()

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return data[offset : offset + length]

    assert len(data) > 300_000
    assert claimed(claim_of(read, len(data), md5_of(data)), md5_of(data)) == ImageFacts("jpeg", 900, 700)
    assert sum(asked) < 140_000


def test_nothing_is_claimed_of_what_the_catalogue_should_look_at_itself() -> None:
    good = picture(1, kind="JPEG")
    for data in (good[:-40], good[:20], b"", b"{}", b"\0\0\0\x18ftypheic", picture(1, kind="TIFF"), good + b"x" * 99):
        assert claim_of_bytes(data) == ""


@pytest.mark.parametrize(
    "claim",
    [
        "",
        f"2 jpeg 640 480 0 {MD5}",
        f"1 heic 640 480 0 {MD5}",
        f"1 tiff 640 480 0 {MD5}",
        f"1 jpeg 0 480 0 {MD5}",
        f"1 jpeg -640 480 0 {MD5}",
        f"1 jpeg 6400000 480 0 {MD5}",
        f"1 jpeg 6e2 480 0 {MD5}",
        f"1 jpeg ٦٤٠ 480 0 {MD5}",
        f"1 jpeg 640 480 2 {MD5}",
        f"1 jpeg 640 480 {MD5}",
        f"1 jpeg 640 480 0 {MD5}\n",
        f" 1 jpeg 640 480 0 {MD5}",
        f"1 jpeg 640 480 0 {MD5.upper()}",
        f"1 jpeg 640 480 0 {MD5[:-1]}e",
        "1 jpeg 640 480 0 ",
    ],
)
def test_what_is_not_exactly_a_claim_of_these_bytes_is_none(claim: str) -> None:
    assert claimed(claim, MD5) is None
    assert claimed(f"1 jpeg 640 480 0 {MD5}", MD5) == ImageFacts("jpeg", 640, 480)
    assert claimed(claim, "") is None


class _Listed(FakeBlobStore):
    """Lists blobs otherwise than they are, as a service may whose blobs were written in blocks."""

    md5: str | None = None

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        for found in super().list(prefix):
            yield found if self.md5 is None else replace(found, md5=self.md5)


def read_with(claim: str, data: bytes, **settings: object) -> tuple[ImageFacts | None, list[str]]:
    store = _Listed()
    store.write("x.png", data, claim=claim)
    [blob] = store.list()
    store.calls.clear()
    entry = FileReader(store, fake_settings().model_copy(update=settings)).read("images/x.png", blob)
    assert isinstance(entry, ImageEntry)
    return entry.facts, store.calls


def test_a_believed_image_is_not_read_and_any_other_is_as_ever() -> None:
    data, lie = picture(5, 64, 48), picture(6, 10, 10)
    facts = ImageFacts("png", 64, 48)
    assert read_with(claim_of_bytes(data), data) == (facts, [])
    for claim in ("", claim_of_bytes(lie), "1 png 64 48 0"):
        assert read_with(claim, data) == (facts, ["read"])
    assert read_with(claim_of_bytes(data), data, trust_image_metadata=False) == (facts, ["read"])


def test_limits_hold_whatever_is_claimed() -> None:
    data = picture(5, 64, 48)
    claim = claim_of_bytes(data)
    assert read_with(claim, data, max_image_pixels=3071) == (None, ["read"])
    assert read_with(claim, data, max_image_bytes=10) == (None, [])
    huge = f"1 png 999999 999999 0 {md5_of(data)}"
    assert read_with(huge, data) == (ImageFacts("png", 64, 48), ["read"])


def test_without_an_md5_in_the_listing_the_header_is_read() -> None:
    data = picture(5)
    store = _Listed()
    store.md5 = ""
    store.write("x.png", data, claim=claim_of_bytes(data))
    [blob] = store.list()
    store.calls.clear()
    FileReader(store, fake_settings()).read("images/x.png", blob)
    assert sorted(store.calls) == ["read", "stream"]


def test_the_catalogue_is_the_same_with_and_without() -> None:
    found = []
    for said in (True, False):
        house = House()
        for number in range(12):
            data = picture(number, kind=("JPEG", "PNG")[number % 2], orientation=(1, 6)[number % 3 == 0])
            house.fakes.data.write(f"{LOOP}/images/{number:02}.png", data, claim=claim_of_bytes(data) if said else "")
            size = (48, 64) if number % 3 == 0 else (64, 48)
            house.put(f"images/{number:02}.xml", voc(("nut", BOX), size=size))
        house.fakes.data.write(f"{LOOP}/images/broken.png", b"no image", claim=f"1 png 1 1 0 {MD5}")
        house.settle()
        found.append((house.state.catalogue.content_hash, [p.code for p in house.state.catalogue.problems]))
    assert found[0] == found[1]
    assert found[0][1] == ["image-unreadable"]
