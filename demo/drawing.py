"""Draws the demonstration's data set: a conveyor belt with nuts, bolts and washers, labelled in COCO."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from demo.examples import Box, Example, Thing
from demo.parts import PARTS

WIDTH, HEIGHT = 640, 480
SMALLEST, LARGEST = 40, 140
"""Longest side of a part in pixels."""
MOST_COVERED = 0.4
"""Share of a part's box that other parts may lie over: more would ask for guessing."""
RAIL = 26
SOFT = 4
"""Blur of a shadow in pixels."""
QUALITY = 88
Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Placed:
    name: str
    picture: Image.Image
    left: int
    top: int

    @property
    def box(self) -> Box:
        """What the part covers, in pixels, from its own outline."""
        left, top, right, bottom = self.picture.getchannel("A").point(lambda a: 255 * (a > 96)).getbbox() or (
            0,
            0,
            0,
            0,
        )
        return self.left + left, self.top + top, self.left + right, self.top + bottom


def draw(count: int, seed: int, prefix: str) -> Iterator[Example]:
    """So many JPEG images named `<prefix>-0000.jpg`…; the same seed and prefix draw the same ones."""
    with ThreadPoolExecutor() as pool:  # Pillow and numpy leave the interpreter free while they work
        yield from pool.map(lambda number: _example(f"{prefix}-{number:04}.jpg", seed), range(count))


def _example(name: str, seed: int) -> Example:
    numbers = random.Random(f"{seed}/{name}")
    belt, placed = _belt(numbers), list(_placed(numbers))
    things = tuple(Thing(part.name, part.box) for part in placed)
    return Example(name, _jpeg(_photograph(belt, placed, numbers)), WIDTH, HEIGHT, things)


def _placed(numbers: random.Random) -> Iterator[_Placed]:
    """Parts that overlap a little at most; one image in twenty is an empty belt."""
    wanted = 0 if numbers.random() < 0.05 else numbers.randint(2, 9)
    boxes: list[Box] = []
    for _ in range(wanted * 6):
        if len(boxes) == wanted:
            return
        part = _part(numbers)
        if all(_covered(box, part.box) <= MOST_COVERED for box in boxes):
            boxes.append(part.box)
            yield part


def _part(numbers: random.Random) -> _Placed:
    name = numbers.choice(sorted(PARTS))
    picture = PARTS[name](numbers).reduce(2)
    picture = picture.rotate(numbers.uniform(0, 360), Image.Resampling.BICUBIC, expand=True)
    picture = picture.crop(picture.getbbox())
    scale = numbers.uniform(SMALLEST, LARGEST) / max(picture.size)
    width, height = (max(8, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    left, top = numbers.randint(4, WIDTH - width - 4), numbers.randint(RAIL, HEIGHT - RAIL - height)
    return _Placed(name, picture, left, top)


def _covered(one: Box, other: Box) -> float:
    """The larger share of either box that both have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))


def _belt(numbers: random.Random) -> Image.Image:
    """Rubber between two rails, with seams, stains and swarf."""
    base = numbers.randint(46, 78)
    belt = Image.new("RGB", (WIDTH, HEIGHT), (base, base + numbers.randint(-3, 4), base + numbers.randint(0, 8)))
    pen = ImageDraw.Draw(belt)
    for seam in range(numbers.randint(0, 120), WIDTH, numbers.randint(70, 130)):
        pen.line((seam, 0, seam - 14, HEIGHT), fill=(base - 14, base - 14, base - 12), width=3)
        pen.line((seam + 3, 0, seam - 11, HEIGHT), fill=(base + 12, base + 12, base + 13), width=1)
    for _ in range(numbers.randint(0, 3)):
        _stain(belt, numbers)
    for _ in range(numbers.randint(4, 24)):
        x, y, far = numbers.uniform(0, WIDTH), numbers.uniform(0, HEIGHT), numbers.uniform(3, 12)
        light = numbers.randint(90, 190)
        pen.line((x, y, x + far, y + numbers.uniform(-5, 5)), fill=(light, light, light - 10), width=1)
    _rails(pen, numbers)
    return belt.filter(ImageFilter.GaussianBlur(0.7))


def _stain(belt: Image.Image, numbers: random.Random) -> None:
    """Oil: dark and soft-edged."""
    mask = Image.new("L", belt.size, 0)
    pen = ImageDraw.Draw(mask)
    x, y = numbers.uniform(0, WIDTH), numbers.uniform(0, HEIGHT)
    for _ in range(5):
        dx, dy, radius = numbers.gauss(0, 24), numbers.gauss(0, 18), numbers.uniform(10, 44)
        pen.ellipse((x + dx - radius, y + dy - radius, x + dx + radius, y + dy + radius), fill=numbers.randint(50, 130))
    belt.paste((20, 18, 16), (0, 0), mask.filter(ImageFilter.GaussianBlur(9)))


def _rails(pen: ImageDraw.ImageDraw, numbers: random.Random) -> None:
    tone = numbers.randint(96, 150)
    for top in (0, HEIGHT - RAIL + 8):
        pen.rectangle((0, top, WIDTH, top + RAIL - 8), fill=(tone, tone, tone + 4))
        pen.line((0, top + 4, WIDTH, top + 4), fill=(tone + 40, tone + 40, tone + 44), width=2)
        for x in range(numbers.randint(0, 80), WIDTH, 96):
            pen.ellipse((x, top + 5, x + 9, top + 14), fill=(tone - 46, tone - 46, tone - 44))


def _photograph(belt: Image.Image, placed: list[_Placed], numbers: random.Random) -> Image.Image:
    """Put the parts on the belt with their shadows, and see them through a camera: light, blur, noise."""
    drop = round(numbers.uniform(2, 9)), round(numbers.uniform(2, 9))
    for part in placed:
        _cast_shadow(belt, part, drop)
        belt.paste(part.picture, (part.left, part.top), part.picture)
    if numbers.random() < 0.5:
        belt = belt.filter(ImageFilter.GaussianBlur(numbers.uniform(0.3, 1.8)))
    return Image.fromarray(_seen(np.asarray(belt, np.float32), numbers))


def _cast_shadow(belt: Image.Image, part: _Placed, drop: tuple[int, int]) -> None:
    mask = ImageOps.expand(part.picture.getchannel("A").point(lambda a: a * 0.6), SOFT * 3)
    where = part.left + drop[0] - SOFT * 3, part.top + drop[1] - SOFT * 3
    belt.paste((8, 8, 10), where, mask.filter(ImageFilter.GaussianBlur(SOFT)))


def _seen(pixels: Numbers, numbers: random.Random) -> NDArray[np.uint8]:
    """`pixels` (height, width, 3) in 0-255, lit unevenly by a warm or cold lamp, with the sensor's noise."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x, y = numbers.uniform(0, WIDTH), numbers.uniform(0, HEIGHT)
    away = np.hypot((columns - x) / WIDTH, (rows - y) / HEIGHT)
    light = numbers.uniform(0.6, 1.4) * (1.12 - numbers.uniform(0.1, 0.5) * away)
    warmth = numbers.uniform(-0.08, 0.08)
    tint = np.array([1 + warmth, 1.0, 1 - warmth], np.float32)
    noise = np.random.default_rng(numbers.randrange(2**32)).standard_normal(pixels.shape, np.float32)
    grain = np.float32(numbers.uniform(2, 14))
    seen: NDArray[np.uint8] = np.clip(pixels * light[..., None] * tint + grain * noise, 0, 255).astype(np.uint8)
    return seen


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
