"""The picture with what was found drawn on it."""

from __future__ import annotations

import colorsys
import hashlib
import io
from collections.abc import Sequence

from services.errors import UnprocessableImage
from services.inference.answer import Prediction

MOST_SIDE = 1600
DRAWN_SCORE = 0.3
"""Boxes less certain than this clutter a picture; a caller's own threshold wins."""


def colour(label: str) -> tuple[int, int, int]:
    """Always the same for a class, and apart from its neighbours'."""
    hue = int.from_bytes(hashlib.sha256(label.encode()).digest()[:2], "big") / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.9)
    return int(255 * red), int(255 * green), int(255 * blue)


def render(data: bytes, found: Sequence[Prediction]) -> bytes:
    """A PNG, at most 1,600 pixels a side.

    Raises:
        UnprocessableImage: the image cannot be decoded.
    """
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UnprocessableImage("The image cannot be decoded: it is damaged or cut off") from None
    image.thumbnail((MOST_SIDE, MOST_SIDE))
    draw, line = ImageDraw.Draw(image), max(2, round(max(image.size) / 250))
    letters = max(12.0, max(image.size) / 45)
    font = ImageFont.load_default(letters)
    for number, one in enumerate(reversed(found)):
        text, hue = f"{one.label} {one.score:.2f}", colour(one.label)
        if one.normalized_box is None:
            corner = (2.0 * line, 2.0 * line + (len(found) - 1 - number) * 1.4 * letters)
        else:
            box = one.normalized_box
            left, top = box.x1 * image.width, box.y1 * image.height
            right, bottom = max(left, box.x2 * image.width), max(top, box.y2 * image.height)
            draw.rectangle((left, top, right, bottom), outline=hue, width=line)
            corner = (max(0.0, left), max(0.0, top - 1.3 * letters))
        area = draw.textbbox(corner, text, font=font)
        draw.rectangle((area[0] - line, area[1] - line, area[2] + line, area[3] + line), fill=hue)
        draw.text(corner, text, fill=(255, 255, 255), font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
