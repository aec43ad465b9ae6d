"""What a prediction needs to know of an image before it is sent: that it is one, and its displayed size."""

from __future__ import annotations

import io
from dataclasses import dataclass

from services.errors import BadRequest, TooLarge, UnprocessableImage, UnsupportedMedia
from services.inference.header import Broken, Header, is_heif, read_header
from services.settings import Settings

KINDS = "JPEG, PNG, WebP, BMP or TIFF"
QUALITY = 95


@dataclass(frozen=True, slots=True)
class Picture:
    """An image's bytes as they are sent, and its size as it came, in pixels, as it is displayed."""

    data: bytes
    width: int
    height: int


def as_sent(data: bytes, settings: Settings) -> Picture | None:
    """An image that is sent as it came, by its header alone; None where it takes a decoder to tell, or to change it.

    Raises: as `measured`.
    """
    check_image(data, settings)
    try:
        header = read_header(data)
    except Broken as error:
        raise _unreadable(error) from None
    return _unchanged(data, header, settings) if header else None


def measured(data: bytes, settings: Settings) -> Picture:
    """Look at an image, and turn it as it is displayed.

    Raises:
        BadRequest: there is nothing.
        UnsupportedMedia: not an image of a kind that is taken.
        UnprocessableImage: an image that cannot be read.
        TooLarge: over a limit of the settings.
    """
    check_image(data, settings)
    header = _header(data)
    if unchanged := _unchanged(data, header, settings):
        return unchanged
    width, height, orientation = header
    turned = orientation >= 5
    changed = upright(data, orientation, settings.predict_most_side)
    return Picture(changed, *((height, width) if turned else (width, height)))


def _unchanged(data: bytes, header: Header, settings: Settings) -> Picture | None:
    width, height, orientation = header
    limit = settings.max_image_pixels
    if width * height > limit:
        raise TooLarge(
            f"The image declares {width} x {height} pixels, over VISIONLOOP_MAX_IMAGE_PIXELS = {limit}", limit=limit
        )
    side = settings.predict_most_side
    as_it_is = orientation == 1 and (not side or max(width, height) <= side)
    return Picture(data, width, height) if as_it_is else None


def check_image(data: bytes, settings: Settings) -> None:
    """See that there is an image, and not too long a one.

    Raises:
        BadRequest: there is nothing.
        TooLarge: it is too long.
    """
    if not data:
        raise BadRequest("There is no image in the body; a chunked body does not arrive, send a Content-Length")
    check_length(len(data), settings)


def check_length(length: int, settings: Settings) -> None:
    """See that an image is not too long.

    Raises:
        TooLarge: it is.
    """
    limit = settings.max_image_bytes
    if length > limit:
        raise TooLarge(f"The image has {length} bytes, over VISIONLOOP_MAX_IMAGE_BYTES = {limit}", limit=limit)


def _header(data: bytes) -> Header:
    try:
        return read_header(data) or _seldom(data)
    except Broken as error:
        raise _unreadable(error) from None


def _unreadable(error: Broken) -> UnprocessableImage:
    return UnprocessableImage(f"The image cannot be read: {error}")


def _seldom(data: bytes) -> Header:
    """The header of a kind for which a decoder is imported."""
    from services.catalogue.images import UnknownKind, Unreadable, orientation_of, read_facts

    if is_heif(data):
        raise UnsupportedMedia(f"HEIC, HEIF and AVIF are not taken: convert the photograph to JPEG. Send {KINDS}")
    try:
        facts = read_facts(lambda offset, length: data[offset : offset + length], len(data))
        width, height = (facts.height, facts.width) if facts.rotated else (facts.width, facts.height)
        return Header(width, height, orientation_of(data))
    except UnknownKind as error:
        raise UnsupportedMedia(f"Send {KINDS}; this is {_mistaken(data) or error}") from None
    except Unreadable as error:
        raise Broken(str(error)) from None


def _mistaken(data: bytes) -> str:
    """What was sent with the content type of something else, as many clients do unless told otherwise."""
    if data.lstrip()[:1] in (b"{", b"["):
        return "JSON, which needs the header content-type: application/json"
    return "a form, which needs the content type multipart/form-data with its boundary" if data[:2] == b"--" else ""


def upright(data: bytes, orientation: int, most_side: int = 0) -> bytes:
    """The image, stored as it is displayed: a slot that ignores EXIF then answers in the frame that people see.

    With `most_side` above 0 it is made smaller, neither side longer; a JPEG is then decoded no larger than that needs.

    Raises:
        UnprocessableImage: it cannot be decoded.
    """
    from PIL import Image

    turn = Image.Transpose
    turns = (turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE, turn.ROTATE_270,
             turn.TRANSVERSE, turn.ROTATE_90)  # fmt: skip
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            if most_side:
                image.draft("RGB", (most_side, most_side))
                image.thumbnail((most_side, most_side), reducing_gap=2.0)
            shown = image.convert("RGB")
            shown = shown.transpose(turns[orientation - 2]) if orientation > 1 else shown
            shown.save(out, "JPEG", quality=QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnprocessableImage("The image cannot be decoded: it is damaged or cut off") from None
    return out.getvalue()
