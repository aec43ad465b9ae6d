"""The images of a request's body: raw, a form, or JSON. What they are is looked at later."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pybase64
from pydantic_core import from_json

from services.errors import BadRequest, TooLarge
from services.inference.image import check_length
from services.settings import Settings

JSON_SHAPES = '{"image": base64}, {"images": [base64, …]}, {"image_url": address} or {"image_urls": [address, …]}'
NOTHING = "There is no image in the body; a chunked body does not arrive, send a Content-Length"
_MOST_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Images:
    """What came; `several` where the answer is a list, even of one; `scoring` where it is Azure ML's own body."""

    data: Sequence[bytes]
    several: bool = False
    scoring: bool = False
    addresses: Sequence[str] = ()
    """Where the images are to be fetched, in place of data."""


def takes_long(body: bytes, content_type: str) -> bool:
    """Whether reading the images takes longer than other requests of an event loop should wait."""
    return len(body) > _MOST_AT_ONCE and media_type(content_type) in {"application/json", "multipart/form-data"}


def read_images(body: bytes, content_type: str, settings: Settings) -> Images:
    """Read a request's images. A body of any other content type is one image, as clients name them in many ways.

    Raises:
        BadRequest: the body is not as its content type says.
        TooLarge: over a limit of the settings.
    """
    kind = media_type(content_type)
    if kind == "application/json":
        found = _from_json(body, settings)
        if found.scoring or found.addresses:
            return found
        none = "The list of images is empty"
    elif kind == "multipart/form-data":
        check_body(len(body), settings)
        found = _from_form(body, content_type, settings)
        none = "The form has no file, and no field named image or images"
    else:
        check_length(len(body), settings)
        return Images([body])
    check_count(len(found.data), settings, none)
    return found


def media_type(content_type: str) -> str:
    """Without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def read_json(body: bytes, settings: Settings, expected: str = JSON_SHAPES) -> Any:
    """Read a JSON body; `expected` is told where it is none.

    Raises:
        BadRequest: it is none.
        TooLarge: no request needs as much.
    """
    check_body(len(body), settings)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise BadRequest(f"The JSON cannot be read; it must be {expected}") from None


def decode(text: object, settings: Settings) -> bytes:
    """An image from base64, with or without `data:image/…;base64,` before it.

    Raises:
        BadRequest: it is not base64.
        TooLarge: it is over the limit of an image.
    """
    if not isinstance(text, str):
        raise BadRequest("An image must be a text, of base64")
    if text.startswith("data:"):
        text = text[text.find(",") + 1 :]
    check_length(len(text) * 3 // 4 - 2, settings)
    try:
        return pybase64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        address = "; an address is sent as image_url or image_urls" if text.startswith(("http://", "https://")) else ""
        raise BadRequest(f"An image is not valid base64{address}") from None


def check_body(length: int, settings: Settings) -> None:
    """See that a body is not too long.

    Raises:
        TooLarge: no request needs as much.
    """
    limit = settings.max_request_bytes
    if length > limit:
        raise TooLarge(f"The body has {length} bytes, over VISIONLOOP_MAX_REQUEST_BYTES = {limit}", limit=limit)


def check_count(count: int, settings: Settings, none: str = NOTHING) -> None:
    """See that there are images, and not too many; `none` is told where there is none.

    Raises:
        BadRequest: there is none.
        TooLarge: there are too many.
    """
    limit = settings.max_request_images
    if count > limit:
        raise TooLarge(f"{count} images in one request, over VISIONLOOP_MAX_REQUEST_IMAGES = {limit}", limit=limit)
    if count == 0:
        raise BadRequest(none)


def _from_json(body: bytes, settings: Settings) -> Images:
    document = read_json(body, settings)
    if not isinstance(document, dict):
        raise BadRequest(f"The JSON must be {JSON_SHAPES}")
    if "input_data" in document:
        return _scoring(document["input_data"], settings)
    given = [name for name in ("image", "images", "image_url", "image_urls") if name in document]
    if len(given) != 1:
        raise BadRequest(f"The JSON must be {JSON_SHAPES}, one of them")
    value, several = document[given[0]], given[0].endswith("s")
    values = value if several else [value]
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise BadRequest(f"The JSON must be {JSON_SHAPES}")
    check_count(len(values), settings, f"{given[0]} is an empty list")
    if "url" in given[0]:
        return Images((), several, addresses=values)
    return Images([decode(one, settings) for one in values], several)


def _scoring(given: object, settings: Settings) -> Images:
    """Azure ML's own body: its images are counted and measured by their length, and left as they are.

    https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema#online-scoring-data-format
    """
    data = given.get("data") if isinstance(given, dict) else None
    if not isinstance(data, list):
        raise BadRequest('Azure ML\'s body must be {"input_data": {"columns": ["image"], "data": [base64, …]}}')
    check_count(len(data), settings, "data is an empty list")
    for row in data:
        text = _cell(row)
        if not isinstance(text, str):
            raise BadRequest('Each row of Azure ML\'s "data" must be one image as base64')
        check_length(len(text) * 3 // 4 - 2, settings)
    return Images((), several=True, scoring=True)


def scoring_images(body: bytes, settings: Settings) -> list[bytes]:
    """The images of Azure ML's own body, which `read_images` has taken.

    Raises:
        BadRequest: one is not base64.
    """
    return [decode(_cell(row), settings) for row in read_json(body, settings)["input_data"]["data"]]


def _cell(row: object) -> object:
    return row[0] if isinstance(row, list) and len(row) == 1 else row


def _from_form(body: bytes, content_type: str, settings: Settings) -> Images:
    """Every part that has a file name, or is named `image` or `images`, is an image; other fields are not looked at."""
    from services.inference.form import read_form

    parts = read_form(body, content_type, most_parts=settings.max_request_images + 16)
    found = [part.data for part in parts if part.is_file or part.name in {"image", "images"}]
    return Images(found, several=len(found) != 1)
