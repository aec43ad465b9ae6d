"""Draws the data set of this example: hands with 0 to 5 raised fingers, in a folder that a loop takes as it is.

    python examples/hand_signs/draw.py FOLDER [--each 120] [--seed 0]

The folder has `images/<sign>/*.jpg`, and copies of `loop.yaml` and `code/`. The same seed draws the same hands.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIGNS: dict[str, list[tuple[str, ...]]] = {
    "zero": [()],
    "one": [("index",), ("thumb",)],
    "two": [("index", "middle"), ("thumb", "index")],
    "three": [("index", "middle", "ring"), ("thumb", "index", "middle")],
    "four": [("index", "middle", "ring", "little")],
    "five": [("thumb", "index", "middle", "ring", "little")],
}
"""The ways to show each number."""
FINGERS = {"index": (-30, 80), "middle": (-9, 90), "ring": (11, 82), "little": (32, 64), "thumb": (-78, 62)}
"""Degrees from upright, and length."""
SKIN = ((244, 208, 177), (224, 172, 125), (188, 130, 88), (133, 87, 57), (84, 54, 38))
DRAWN, KEPT = 256, 96
"""Pixels a side: drawn large and made small, which smooths all edges."""
CENTRE, PALM = (128.0, 150.0), 42.0

Point = tuple[float, float]
Colour = tuple[int, int, int]


def hand(sign: str, chance: random.Random) -> Image.Image:
    """A picture of KEPT x KEPT pixels."""
    skin = _near(chance.choice(SKIN), 14, chance)
    layer = Image.new("RGBA", (DRAWN, DRAWN), (*skin, 0))
    _draw_hand(ImageDraw.Draw(layer), chance.choice(SIGNS[sign]), skin, chance)
    if chance.random() < 0.5:
        layer = layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    layer = _posed(layer, chance)
    picture = _background(chance)
    picture.paste(layer, (0, 0), layer)
    picture = picture.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1.6))).resize((KEPT, KEPT))
    grain = Image.frombytes("RGB", (KEPT, KEPT), chance.randbytes(3 * KEPT * KEPT))
    return Image.blend(picture, grain, chance.uniform(0.0, 0.15))


def _draw_hand(draw: ImageDraw.ImageDraw, raised: Sequence[str], skin: Colour, chance: random.Random) -> None:
    shade = (int(skin[0] * 0.6), int(skin[1] * 0.6), int(skin[2] * 0.6))
    _limb(draw, CENTRE, (CENTRE[0] + chance.uniform(-18, 18), DRAWN + 20.0), 54, skin, shade)
    for name, (degrees, length) in FINGERS.items():
        angle = math.radians(degrees + chance.uniform(-5, 5))
        start = _away(CENTRE, angle, PALM * 0.75)
        reach = length * chance.uniform(0.85, 1.1) if name in raised else chance.uniform(8, 16)
        _limb(draw, start, _away(start, angle, reach), 20 if name != "thumb" else 23, skin, shade)
    left, top, right, bottom = CENTRE[0] - PALM, CENTRE[1] - PALM, CENTRE[0] + PALM, CENTRE[1] + PALM
    draw.ellipse((left, top, right, bottom), fill=skin)


def _away(start: Point, angle: float, length: float) -> Point:
    return start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)


def _limb(draw: ImageDraw.ImageDraw, start: Point, end: Point, width: float, skin: Colour, shade: Colour) -> None:
    """A line with round ends and a darker edge."""
    for thickness, colour in ((width + 4, shade), (width, skin)):
        draw.line((start, end), fill=colour, width=round(thickness))
        for x, y in (start, end):
            half = thickness / 2
            draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)


def _posed(layer: Image.Image, chance: random.Random) -> Image.Image:
    """Turned, made smaller or larger, and moved."""
    angle, size = math.radians(chance.uniform(-25, 25)), 1 / chance.uniform(0.85, 1.1)
    along, across = size * math.cos(angle), size * math.sin(angle)
    middle = DRAWN / 2
    x, y = middle + chance.uniform(-14, 14), middle + chance.uniform(-10, 10)
    shape = (along, across, middle - along * x - across * y, -across, along, middle + across * x - along * y)
    return layer.transform(layer.size, Image.Transform.AFFINE, shape, Image.Resampling.BILINEAR)


def _background(chance: random.Random) -> Image.Image:
    """A gradient with a few soft shapes on it."""
    ends = [Image.new("RGB", (DRAWN, DRAWN), _near((128, 128, 128), 110, chance)) for _ in range(2)]
    ramp = Image.linear_gradient("L").resize((DRAWN, DRAWN)).rotate(chance.choice((0, 90, 180, 270)))
    picture = Image.composite(ends[0], ends[1], ramp)
    draw = ImageDraw.Draw(picture)
    for _ in range(chance.randint(0, 6)):
        x, y, side = chance.uniform(0, DRAWN), chance.uniform(0, DRAWN), chance.uniform(10, 70)
        draw.ellipse((x, y, x + side, y + side * chance.uniform(0.4, 1)), fill=_near((128, 128, 128), 110, chance))
    return picture.filter(ImageFilter.GaussianBlur(4))


def _near(colour: Colour, spread: int, chance: random.Random) -> Colour:
    red, green, blue = (max(0, min(255, part + chance.randint(-spread, spread))) for part in colour)
    return red, green, blue


def write_images(folder: Path, each: int, seed: int, first: int = 0) -> None:
    """Images `first` to `first + each` of every sign below `folder/images`."""
    for sign in SIGNS:
        place = folder / "images" / sign
        place.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            picture = hand(sign, random.Random(f"{seed} {sign} {number}"))
            picture.save(place / f"{sign}-{number:04}.jpg", quality=88)


def write_loop(folder: Path) -> None:
    """What the loop is to do: loop.yaml and the training script."""
    shutil.copytree(
        Path(__file__).parent / "loop", folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )


def main() -> None:
    """Draw into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--each", type=int, default=120, help="images of each sign (default: 120)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one, to draw more of them later")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_loop(arguments.folder)
    write_images(arguments.folder, arguments.each, arguments.seed, arguments.first)
    print(f"{arguments.each} images of each of {', '.join(SIGNS)} are in {arguments.folder}")


if __name__ == "__main__":
    main()
