"""The images of a request's body: raw, a form, or JSON. What they are is looked at later."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pybase64
from pydantic_core import from_json

from services.errors import BadRequest, TooLarge
from services.inference.image import Picture, check_length, measured
from services.settings import Settings

JSON_SHAPES = '{"image": base64}, {"images": [base64, …]}, {"image_url": address} or {"image_urls": [address, …]}'
Fetch = Callable[[str], bytes]
"""An address to the bytes that are there; raises BadRequest."""


@dataclass(frozen=True, slots=True)
class Images:
    """What came; `several` where the answer is a list, even of one."""

    data: Sequence[bytes]
    several: bool = False


def read_images(body: bytes, content_type: str, settings: Settings, fetch: Fetch) -> Images:
    """Read a request's images. A body of any other content type is one image, as clients name them in many ways.

    Raises:
        BadRequest: the body is not as its content type says.
        TooLarge: over a limit of the settings.
    """
    kind = media_type(content_type)
    if kind == "application/json":
        found = _from_json(body, settings, fetch)
    elif kind == "multipart/form-data":
        check_body(len(body), settings)
        found = _from_form(body, content_type, settings)
    else:
        check_length(len(body), settings)
        return Images([body])
    check_count(len(found.data), settings)
    return found


def media_type(content_type: str) -> str:
    """Without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def read_json(body: bytes, settings: Settings) -> Any:
    """Read a JSON body.

    Raises:
        BadRequest: it is none.
        TooLarge: no request needs as much.
    """
    check_body(len(body), settings)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise BadRequest(f"The JSON cannot be read; it must be {JSON_SHAPES}") from None


def decode(text: object, settings: Settings) -> bytes:
    """An image from base64, with or without `data:image/…;base64,` before it.

    Raises:
        BadRequest: it is not base64.
        TooLarge: it is over the limit of an image.
    """
    if not isinstance(text, str):
        raise BadRequest(f"The JSON must be {JSON_SHAPES}")
    if text.startswith("data:"):
        text = text[text.find(",") + 1 :]
    check_length(len(text) * 3 // 4 - 2, settings)
    try:
        return pybase64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise BadRequest(f"An image is not valid base64; the JSON must be {JSON_SHAPES}") from None


def check_body(length: int, settings: Settings) -> None:
    """See that a body is not too long.

    Raises:
        TooLarge: no request needs as much.
    """
    limit = settings.max_request_bytes
    if length > limit:
        raise TooLarge(f"The body has {length} bytes, over VISIONLOOP_MAX_REQUEST_BYTES = {limit}", limit=limit)


def check_count(count: int, settings: Settings) -> None:
    """See that there are images, and not too many.

    Raises:
        BadRequest: there is none.
        TooLarge: there are too many.
    """
    limit = settings.max_request_images
    if count > limit:
        raise TooLarge(f"{count} images in one request, over VISIONLOOP_MAX_REQUEST_IMAGES = {limit}", limit=limit)
    if count == 0:
        raise BadRequest("There is no image in the body; a chunked body does not arrive, send a Content-Length")


def _from_json(body: bytes, settings: Settings, fetch: Fetch) -> Images:
    document = read_json(body, settings)
    if not isinstance(document, dict):
        raise BadRequest(f"The JSON must be {JSON_SHAPES}")
    given = [name for name in ("image", "images", "image_url", "image_urls") if name in document]
    if len(given) != 1:
        raise BadRequest(f"The JSON must be {JSON_SHAPES}, one of them")
    value, several = document[given[0]], given[0].endswith("s")
    values = value if several else [value]
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise BadRequest(f"The JSON must be {JSON_SHAPES}")
    check_count(len(values), settings)
    read = fetch if "url" in given[0] else lambda text: decode(text, settings)
    return Images([read(one) for one in values], several)


def _from_form(body: bytes, content_type: str, settings: Settings) -> Images:
    """Every part that has a file name, or is named `image` or `images`, is an image; other fields are not looked at."""
    from services.inference.form import read_form

    parts = read_form(body, content_type, most_parts=settings.max_request_images + 16)
    found = [part.data for part in parts if part.is_file or part.name in {"image", "images"}]
    return Images(found, several=len(found) != 1)


def picture(body: bytes, content_type: str, settings: Settings) -> Picture:
    """The one image of a body that names no address.

    Raises:
        BadRequest: see `read_images` and `measured`.
    """
    [data] = read_images(body, content_type, settings, _fetch_nothing).data
    return measured(data, settings)


def _fetch_nothing(_: str) -> bytes:
    raise BadRequest("An address is not taken here")
