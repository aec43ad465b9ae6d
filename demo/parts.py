"""Nuts, bolts and washers as pictures with a transparent background, lying flat and unrotated."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageChops, ImageDraw

CANVAS = 512
"""Side of a part's picture in pixels; a part fills most of it."""
Colour = tuple[int, int, int]
METALS: tuple[Colour, ...] = ((176, 180, 186), (150, 152, 156), (198, 190, 168), (190, 160, 92), (92, 94, 100))
"""Steel, older steel, zinc, brass, black oxide."""
Point = tuple[float, float]
MIDDLE = CANVAS / 2


def shade(colour: Colour, factor: float) -> Colour:
    """Lighter or darker."""
    red, green, blue = (max(0, min(255, round(c * factor))) for c in colour)
    return red, green, blue


def washer(numbers: random.Random) -> Image.Image:
    """A flat ring, some of them sprung open."""
    colour, hole = numbers.choice(METALS), numbers.uniform(0.44, 0.6)
    picture, pen = _blank()
    _disc(pen, 240, shade(colour, 0.72))
    _disc(pen, 232, colour)
    _disc(pen, 240 * hole + 16, shade(colour, 1.18))
    _disc(pen, 240 * hole + 8, shade(colour, 0.7))
    _brush(picture, numbers)
    _cut(picture, lambda p: _disc(p, 240 * hole, 255))
    if numbers.random() < 0.3:
        _cut(
            picture, lambda p: p.polygon([(MIDDLE, MIDDLE - 8), (CANVAS, MIDDLE - 34), (CANVAS, MIDDLE - 4)], fill=255)
        )
    return picture


def nut(numbers: random.Random) -> Image.Image:
    """A hexagon with a chamfer and a threaded hole."""
    colour, hole = numbers.choice(METALS), numbers.uniform(0.42, 0.54)
    picture, pen = _blank()
    corners = _polygon(6, 240)
    pen.polygon(corners, fill=shade(colour, 0.78))
    for number, (start, end) in enumerate(zip(corners, [*corners[1:], corners[0]], strict=True)):
        pen.polygon([start, end, (MIDDLE, MIDDLE)], fill=shade(colour, 0.7 + 0.09 * abs(number - 3)))
    _disc(pen, 203, shade(colour, 1.06))
    _disc(pen, 196, colour)
    for ring in range(4):
        _disc(pen, 240 * hole + 18 - 6 * ring, shade(colour, 0.55 if ring % 2 else 0.95))
    _brush(picture, numbers)
    _cut(picture, lambda p: _disc(p, 240 * hole - 4, 255))
    return picture


def bolt(numbers: random.Random) -> Image.Image:
    """A hexagonal head seen from the side, and a shaft with its thread."""
    colour, thick = numbers.choice(METALS), numbers.uniform(34, 50)
    length, head = numbers.uniform(300, 400), numbers.uniform(1.75, 2.0)
    left = MIDDLE - (length + 90) / 2
    picture, pen = _blank()
    _shaft(pen, left + 80, length, thick, colour)
    high = thick * head
    for top, bottom, light in ((-1.0, -0.45, 0.72), (-0.45, 0.45, 1.08), (0.45, 1.0, 0.62)):
        pen.rectangle((left, MIDDLE + high * top, left + 84, MIDDLE + high * bottom), fill=shade(colour, light))
    pen.rectangle((left + 78, MIDDLE - high * 0.92, left + 92, MIDDLE + high * 0.92), fill=shade(colour, 0.85))
    _brush(picture, numbers)
    return picture


PARTS: dict[str, Callable[[random.Random], Image.Image]] = {"bolt": bolt, "nut": nut, "washer": washer}


def _shaft(pen: ImageDraw.ImageDraw, left: float, length: float, thick: float, colour: Colour) -> None:
    """A cylinder, lit from above, whose last part carries a thread."""
    for line in range(-round(thick), round(thick) + 1):
        light = 0.55 + 0.65 * math.sqrt(max(0.0, 1 - ((line + thick * 0.25) / (1.25 * thick)) ** 2))
        pen.line((left, MIDDLE + line, left + length, MIDDLE + line), fill=shade(colour, light))
    for step in range(round(length * 0.3), round(length), 11):
        here = left + step
        pen.line((here, MIDDLE - thick - 3, here + 7, MIDDLE + thick + 3), fill=shade(colour, 0.5), width=4)


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    return picture, ImageDraw.Draw(picture)


def _polygon(corners: int, radius: float) -> Sequence[Point]:
    turns = (2 * math.pi * n / corners for n in range(corners))
    return [(MIDDLE + radius * math.cos(t), MIDDLE + radius * math.sin(t)) for t in turns]


def _disc(pen: ImageDraw.ImageDraw, radius: float, fill: Colour | int) -> None:
    pen.ellipse((MIDDLE - radius, MIDDLE - radius, MIDDLE + radius, MIDDLE + radius), fill=fill)


def _cut(picture: Image.Image, draw: Callable[[ImageDraw.ImageDraw], None]) -> None:
    """Make transparent what is drawn."""
    mask = Image.new("L", picture.size, 0)
    draw(ImageDraw.Draw(mask))
    picture.putalpha(ImageChops.subtract(picture.getchannel("A"), mask))


def _brush(picture: Image.Image, numbers: random.Random) -> None:
    """Scratches and a sheen, as tooling leaves them."""
    marks = Image.new("L", picture.size, 128)
    pen = ImageDraw.Draw(marks)
    for _ in range(60):
        x, y, turn = numbers.uniform(0, CANVAS), numbers.uniform(0, CANVAS), numbers.uniform(0, math.tau)
        far = numbers.uniform(10, 90)
        pen.line((x, y, x + far * math.cos(turn), y + far * math.sin(turn)), fill=numbers.randrange(90, 175), width=2)
    sheen = Image.linear_gradient("L").rotate(numbers.uniform(0, 360)).resize(picture.size)
    light = ImageChops.soft_light(picture.convert("RGB"), Image.blend(marks, sheen, 0.45).convert("RGB"))
    picture.paste(light, (0, 0), picture.getchannel("A"))
