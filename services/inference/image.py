"""What a prediction needs to know of an image before it is sent: that it is one, and its displayed size."""

from __future__ import annotations

import binascii
import io
import json
from dataclasses import dataclass

import pybase64

from services.catalogue.images import UnknownKind, Unreadable, orientation_of, read_facts
from services.errors import BadRequest, TooLarge, UnprocessableImage, UnsupportedMedia
from services.settings import Settings

KINDS = "JPEG, PNG, WebP, BMP or TIFF"
QUALITY = 95


@dataclass(frozen=True, slots=True)
class Picture:
    """An image's bytes and its size, in pixels, as it is displayed."""

    data: bytes
    width: int
    height: int


def picture(body: bytes, content_type: str, settings: Settings) -> Picture:
    """Read a request: raw bytes of an image, or JSON `{"image": base64}`.

    Raw bytes are taken under any content type, as clients name them in many ways; what they are, they say themselves.

    Raises:
        BadRequest: the JSON is not like that, or the body is empty.
        UnsupportedMedia: not an image of a kind that is taken.
        UnprocessableImage: an image that cannot be read.
        TooLarge: over a limit of the settings.
    """
    is_json = content_type.partition(";")[0].strip().lower() == "application/json"
    _check_length(len(body) * 3 // 4 if is_json else len(body), settings)
    data = _from_json(body) if is_json else body
    if not data:
        raise BadRequest("There is no image in the body; a chunked body does not arrive, send a Content-Length")
    return _measured(data, settings)


def _check_length(length: int, settings: Settings) -> None:
    limit = settings.max_image_bytes
    if length > limit:
        raise TooLarge(f"The image has {length} bytes, over VISIONLOOP_MAX_IMAGE_BYTES = {limit}", limit=limit)


def _from_json(body: bytes) -> bytes:
    try:
        return pybase64.b64decode(json.loads(body)["image"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise BadRequest('The JSON must be {"image": base64 of an image}') from None


def _measured(data: bytes, settings: Settings) -> Picture:
    try:
        facts = read_facts(lambda offset, length: data[offset : offset + length], len(data))
    except UnknownKind as error:
        raise UnsupportedMedia(f"Send {KINDS}; this is {error}") from None
    except Unreadable as error:
        raise UnprocessableImage(f"The image cannot be read: {error}") from None
    limit = settings.max_image_pixels
    if facts.width * facts.height > limit:
        size = f"{facts.width} x {facts.height}"
        raise TooLarge(f"The image declares {size} pixels, over VISIONLOOP_MAX_IMAGE_PIXELS = {limit}", limit=limit)
    return Picture(upright(data), facts.width, facts.height)


def upright(data: bytes) -> bytes:
    """The image, stored as it is displayed: a slot that ignores EXIF then answers in the frame that people see.

    Raises:
        UnprocessableImage: it has to be turned, and cannot be decoded.
    """
    if orientation_of(data) == 1:
        return data
    from PIL import Image, ImageOps

    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            ImageOps.exif_transpose(image).convert("RGB").save(out, "JPEG", quality=QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnprocessableImage("The image cannot be decoded: it is damaged or cut off") from None
    return out.getvalue()
