"""What a prediction needs to know of an image before it is sent: that it is one, and its displayed size."""

from __future__ import annotations

import base64
import binascii
import io
import json
from dataclasses import dataclass

from services.errors import BadRequest, TooLarge, UnprocessableImage, UnsupportedMedia
from services.settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})
_RAW = ("image/", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image's bytes and its size, in pixels, as it is displayed."""

    data: bytes
    width: int
    height: int


def picture(body: bytes, content_type: str, settings: Settings) -> Picture:
    """Read a request: raw bytes of an image, or JSON `{"image": base64}`.

    Raises:
        BadRequest: the JSON is not like that, or the body is empty.
        UnsupportedMedia: neither, or a kind of image that is not taken.
        UnprocessableImage: an image that cannot be read.
        TooLarge: over a limit of the settings.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        body = _from_json(body)
    elif kind and not kind.startswith(_RAW):
        raise UnsupportedMedia(f"{kind[:60]} is not taken: send image bytes, or JSON with image as base64")
    if not body:
        raise BadRequest("The body is empty; a chunked body does not arrive, send a Content-Length")
    if len(body) > settings.max_image_bytes:
        raise TooLarge(f"The image has {len(body)} bytes, over VISIONLOOP_MAX_IMAGE_BYTES = {settings.max_image_bytes}")
    return _measured(body, settings)


def _from_json(body: bytes) -> bytes:
    try:
        text = json.loads(body)["image"]
        return base64.b64decode(text, validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise BadRequest('The JSON must be {"image": base64 of an image}') from None


def _measured(data: bytes, settings: Settings) -> Picture:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _TURNED
    except UnidentifiedImageError:
        raise UnsupportedMedia(f"The bytes are no image of these kinds: {', '.join(FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnprocessableImage("The image cannot be read: it is damaged or cut off") from None
    if width * height > settings.max_image_pixels:
        limit = settings.max_image_pixels
        raise TooLarge(f"The image declares {width}x{height} pixels, over VISIONLOOP_MAX_IMAGE_PIXELS = {limit}")
    return Picture(data, height, width) if turned else Picture(data, width, height)
