"""The picture with what was found drawn on it."""

from __future__ import annotations

import colorsys
import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from services.errors import UnprocessableImage
from services.inference.answer import Box, Prediction

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_SIDE = 1600
DRAWN_SCORE = 0.3
"""Boxes less certain than this clutter a picture; a caller's own threshold wins."""
Format = Literal["PNG", "JPEG"]


def colour(label: str) -> tuple[int, int, int]:
    """Always the same for a class, and apart from its neighbours'."""
    hue = int.from_bytes(hashlib.sha256(label.encode()).digest()[:2], "big") / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.8)
    return int(255 * red), int(255 * green), int(255 * blue)


def render(data: bytes, found: Sequence[Prediction], kind: Format = "PNG") -> bytes:
    """The picture, at most 1,600 pixels a side.

    Raises:
        UnprocessableImage: the image cannot be decoded.
    """
    image = decoded(data)
    image.thumbnail((MOST_SIDE, MOST_SIDE))
    pen = _Pen(image)
    boxed = [one for one in found if one.normalized_box is not None]
    for one in reversed(boxed):  # the most confident on top
        pen.box(one)
    pen.lines([one for one in found if one.normalized_box is None])
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def decoded(data: bytes) -> Image:
    """The pixels.

    Raises:
        UnprocessableImage: they cannot be had.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnprocessableImage("The image cannot be decoded: it is damaged or cut off") from None


class _Pen:
    """Draws on one image, in sizes that suit it."""

    def __init__(self, image: Image) -> None:
        from PIL import ImageDraw, ImageFont

        self._image, self._draw = image, ImageDraw.Draw(image)
        self._width = max(2, round(max(image.size) / 250))
        self._letters = max(12.0, max(image.size) / 45)
        self._font = ImageFont.load_default(self._letters)

    def box(self, one: Prediction) -> None:
        assert one.normalized_box is not None  # noqa: S101  # for the type checker
        left, top, right, bottom = self._corners(one.normalized_box)
        self._draw.rectangle((left, top, right, bottom), outline=colour(one.label), width=self._width)
        self._text(one, left, max(0.0, top - 1.3 * self._letters))

    def lines(self, classes: Sequence[Prediction]) -> None:
        for number, one in enumerate(classes):
            self._text(one, 2.0 * self._width, 2.0 * self._width + number * 1.5 * self._letters)

    def _corners(self, box: Box) -> tuple[float, float, float, float]:
        width, height = self._image.size
        left, top = box.x1 * width, box.y1 * height
        return left, top, max(left, box.x2 * width), max(top, box.y2 * height)

    def _text(self, one: Prediction, x: float, y: float) -> None:
        text, margin = f"{one.label} {one.score:.2f}", self._width
        left, top, right, bottom = self._draw.textbbox((x, y), text, font=self._font)
        area = (left - margin, top - margin, right + margin, bottom + margin)
        self._draw.rectangle(area, fill=colour(one.label))
        self._draw.text((x, y), text, fill=(255, 255, 255), font=self._font)
