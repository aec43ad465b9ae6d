from __future__ import annotations

import base64
import contextlib
import io
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.cloud.fakes import fake_settings
from services.errors import BadRequest, TooLarge, UnprocessableImage, UnsupportedMedia
from services.inference.body import read_images
from services.inference.image import Picture, measured
from services.settings import Settings
from tests.support import predictions as images

SETTINGS = fake_settings()
RAW = "application/octet-stream"


def picture(body: bytes, content_type: str, settings: Settings) -> Picture:
    [data] = read_images(body, content_type, settings).data
    return measured(data, settings)


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares this size and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_an_image_is_sent_as_it_came(kind: str) -> None:
    data = images.picture(40, 30, kind)
    found = picture(data, f"image/{kind.lower()}", SETTINGS)
    assert (found.data, found.width, found.height) == (data, 40, 30)


@pytest.mark.parametrize("content_type", ["", RAW, "image/jpeg", "application/x-www-form-urlencoded", "text/plain"])
def test_raw_bytes_are_taken_under_any_name(content_type: str) -> None:
    assert picture(images.jpeg(40, 30), content_type, SETTINGS).width == 40


def test_json_holds_base64() -> None:
    body = json.dumps({"image": base64.b64encode(images.jpeg(40, 30)).decode()}).encode()
    assert picture(body, "application/json; charset=utf-8", SETTINGS).data == images.jpeg(40, 30)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"image": 7}',
        b'{"image": "@@"}',
        b'{"image": "YQ"}',
        b'{"image": ""}',
        b"[" * 9999,
        b"\xff",
    ],
)
def test_other_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        picture(body, "application/json", SETTINGS)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"image": "aGFsbG8="}', "this is JSON, which needs the header content-type: application/json"),
        (b'--x\r\nContent-Disposition: form-data; name="a"', "this is a form, which needs the content type"),
        (b"GIF89a", "this is a file that begins with 'GIF89a'"),
    ],
)
def test_what_has_the_content_type_of_something_else_is_told_so(body: bytes, said: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        measured(body, SETTINGS)
    assert said in caught.value.detail


def test_an_empty_body_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadRequest, match="Content-Length"):
        picture(b"", "image/jpeg", SETTINGS)


@pytest.mark.parametrize(
    "body", [b"GIF89a" + b"\0" * 50, b"\0\0\0\x18ftypheic" + b"\0" * 50, b"%PDF-1.7", b"hello", b"<svg/>"]
)
def test_what_is_no_image_that_we_take_is_415(body: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="JPEG, PNG") as caught:
        picture(body, "image/jpeg", SETTINGS)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "body", [images.jpeg(40, 30)[:30], images.picture(40, 30, "PNG")[:20], b"\xff\xd8\xff" + b"x" * 99]
)
def test_a_broken_header_is_422(body: bytes) -> None:
    with pytest.raises(UnprocessableImage) as caught:
        picture(body, "image/jpeg", SETTINGS)
    assert caught.value.status == 422


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_001, 5_000), (2_000_000, 26)])
def test_a_pixel_bomb_is_refused_by_what_it_declares(size: tuple[int, int]) -> None:
    with pytest.raises(TooLarge, match="VISIONLOOP_MAX_IMAGE_PIXELS = 50000000") as caught:
        picture(bomb(*size), "image/png", SETTINGS)
    assert caught.value.status == 413


def test_the_limit_of_bytes_is_named() -> None:
    small = SETTINGS.model_copy(update={"max_image_bytes": 100})
    with pytest.raises(TooLarge, match="VISIONLOOP_MAX_IMAGE_BYTES = 100") as caught:
        picture(b"x" * 101, RAW, small)
    assert caught.value.extra == {"limit": 100}
    with pytest.raises(TooLarge):
        picture(b'{"image": "' + b"A" * 200 + b'"}', "application/json", small)


def corner(data: bytes, x: float, y: float) -> str:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    pixel = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(pixel, tuple)
    return "red" if pixel[0] > pixel[2] else "blue"


RED_AT = {
    1: (0.25, 0.25),
    2: (0.75, 0.25),
    3: (0.75, 0.75),
    4: (0.25, 0.75),
    5: (0.25, 0.25),
    6: (0.75, 0.25),
    7: (0.75, 0.75),
    8: (0.25, 0.75),
}
"""Where the stored upper left quarter is seen, by EXIF orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_sent_is_stored_as_it_is_displayed(orientation: int, kind: str) -> None:
    found = picture(images.picture(80, 40, kind, orientation=orientation), RAW, SETTINGS)
    assert (found.width, found.height) == ((40, 80) if orientation >= 5 else (80, 40))
    sent = Image.open(io.BytesIO(found.data))
    assert sent.size == (found.width, found.height)
    assert sent.getexif().get(images.ORIENTATION, 1) == 1
    x, y = RED_AT[orientation]
    assert corner(found.data, x, y) == "red"
    assert corner(found.data, 1 - x, 1 - y) == "blue"


def test_a_rotated_image_that_cannot_be_decoded_is_422() -> None:
    whole = images.picture(800, 400, orientation=6)
    with pytest.raises(UnprocessableImage):
        picture(whole[: len(whole) // 2], RAW, SETTINGS)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged metadata
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF"]), st.integers(0, 400), st.binary(max_size=20))
def test_damage_anywhere_is_an_error_of_ours_or_none(kind: str, place: int, damage: bytes) -> None:
    data = images.picture(40, 30, kind, orientation=6 if kind in {"JPEG", "PNG"} else 1)
    with contextlib.suppress(BadRequest):
        picture(data[:place] + damage + data[place + len(damage) :], RAW, SETTINGS)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_larger_image_is_sent_smaller_where_a_side_is_set(kind: str, orientation: int) -> None:
    small = SETTINGS.model_copy(update={"predict_most_side": 100})
    found = picture(images.picture(800, 400, kind, orientation=orientation), RAW, small)
    sent = Image.open(io.BytesIO(found.data))
    assert (found.width, found.height) == ((400, 800) if orientation == 6 else (800, 400)), (
        "boxes are in the original's"
    )
    assert sent.size == ((50, 100) if orientation == 6 else (100, 50))
    x, y = RED_AT[orientation]
    assert corner(found.data, x, y) == "red"


def test_an_image_that_is_small_enough_is_sent_as_it_came() -> None:
    data = images.jpeg(100, 50)
    assert picture(data, RAW, SETTINGS.model_copy(update={"predict_most_side": 100})).data == data
