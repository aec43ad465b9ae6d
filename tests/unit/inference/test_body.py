"""What a body may hold: one image or several, raw, in a form, or in JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cloud.fakes import fake_settings
from services.errors import BadRequest, TooLarge, VisionloopError
from services.inference.body import Images, read_images
from tests.support.predictions import jpeg

SETTINGS = fake_settings().model_copy(update={"max_image_bytes": 5000, "max_request_images": 3})
A, B = jpeg(40, 30), jpeg(30, 40)


def read(body: bytes, kind: str) -> Images:
    return read_images(body, kind, SETTINGS)


def read_json(document: Any) -> Images:
    return read(json.dumps(document).encode(), "application/json; charset=utf-8")


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def form(*files: tuple[str, Any], **fields: str) -> tuple[bytes, str]:
    """As a widely used client writes it."""
    request = httpx.Request("POST", "http://x", files=list(files), data=fields)
    return request.read(), request.headers["content-type"]


def test_json_holds_one_image_or_several() -> None:
    assert read_json({"image": text(A)}) == Images([A])
    assert read_json({"images": [text(A), text(B)]}) == Images([A, B], several=True)
    assert read_json({"images": [text(A)]}) == Images([A], several=True)
    assert read_json({"image": "data:image/jpeg;base64," + text(A)}) == Images([A])


def test_addresses_are_told() -> None:
    urls = ["https://a/1", "https://a/2"]
    assert read_json({"image_urls": urls}) == Images((), several=True, addresses=urls)
    assert read_json({"image_url": "https://a/2"}) == Images((), addresses=["https://a/2"])


@pytest.mark.parametrize(
    "document",
    [
        {"images": []},
        {"images": "x"},
        {"images": [1]},
        {"image": [text(A)]},
        {"image": text(A), "images": [text(B)]},
        {"image_url": 7},
        {"image_urls": [None]},
        {"pictures": []},
        [text(A)],
        {"image": "data:,@@"},
    ],
)
def test_other_documents_are_refused(document: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        read_json(document)
    assert caught.value.status == 400


def test_a_form_holds_one_image_or_several() -> None:
    assert read(*form(("file", ("a.jpg", A, "image/jpeg")), note="hello")) == Images([A])
    two = form(("image", ("a.jpg", A)), ("image", ("ü.png", B)))
    assert read(*two) == Images([A, B], several=True)
    assert read(*form(("image", (None, A)))) == Images([A])


def test_a_form_without_an_image_is_refused() -> None:
    with pytest.raises(BadRequest, match="no file, and no field named image"):
        read(*form(("x", (None, b"y")), name="ace"))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"images": []}, "images is an empty list"),
        ({"image_urls": []}, "image_urls is an empty list"),
        ({"input_data": {"data": []}}, "data is an empty list"),
        ({"image": "https://example.com/a.jpg"}, "An image is not valid base64; an address is sent as image_url"),
        ({"image": "@@"}, "An image is not valid base64$"),
    ],
)
def test_a_refusal_says_what_to_change(document: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read_json(document)


def test_a_form_keeps_every_byte() -> None:
    odd = b"\r\n--\r\n" + bytes(range(256)) + b"\r\n--x--\r\n\r\n"
    assert read(*form(("image", ("a.jpg", odd)))).data == [odd]


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; x="'])
def test_a_form_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(BadRequest, match="boundary"):
        read(b"--x\r\n", kind)


@given(st.integers(0, 900))
def test_a_form_that_ends_early_is_refused(end: int) -> None:
    body, kind = form(("image", ("a.jpg", b"A" * 500)), ("image", ("b.jpg", b"B" * 300)))
    with pytest.raises(BadRequest):
        read(body[: min(end, len(body) - 5)], kind)


@given(st.binary(max_size=300))
def test_any_bytes_are_images_or_a_clear_refusal(body: bytes) -> None:
    for kind in ("application/json", "multipart/form-data; boundary=x"):
        with pytest.raises(BadRequest):
            read(b"--x" + body, kind)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"images": [text(A)] * 4}).encode(), "application/json"),
        form(*[("image", ("a.jpg", A))] * 4),
    ],
    ids=["json", "form"],
)
def test_too_many_images_are_refused(body: bytes, kind: str) -> None:
    with pytest.raises(TooLarge, match="VISIONLOOP_MAX_REQUEST_IMAGES = 3") as caught:
        read(body, kind)
    assert caught.value.status == 413


def test_too_many_parts_are_refused_whatever_they_are() -> None:
    with pytest.raises(TooLarge):
        read(*form(*[(f"f{n}", (None, b"x")) for n in range(500)]))


def test_addresses_are_counted_before_any_is_fetched() -> None:
    body = json.dumps({"image_urls": ["https://a/1"] * 4}).encode()
    with pytest.raises(TooLarge):
        read(body, "application/json")


def test_one_image_over_the_limit_is_refused_wherever_it_lies() -> None:
    large = b"x" * 5010
    for body, kind in [(large, ""), (json.dumps({"images": [text(A), text(large)]}).encode(), "application/json")]:
        with pytest.raises(TooLarge, match="VISIONLOOP_MAX_IMAGE_BYTES = 5000"):
            read(body, kind)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_over_the_limit_is_not_parsed(kind: str) -> None:
    small = SETTINGS.model_copy(update={"max_request_bytes": 100})
    with pytest.raises(TooLarge, match="VISIONLOOP_MAX_REQUEST_BYTES = 100"):
        read_images(b"x" * 101, kind, small)


def test_json_that_nests_without_end_is_refused() -> None:
    with pytest.raises(VisionloopError) as caught:
        read(b'{"image":' + b"[" * 100_000, "application/json")
    assert caught.value.status == 400
