"""COCO's instances files in their real shape, without COCO: sections, fields, sizes of polygons, classes by frequency.

The images that they are about are JPEGs of the sizes that the file says, each with content of its own.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, islice
from pathlib import Path

SIZES = ((640, 480), (480, 640), (640, 427), (500, 375))
CLASSES = 80
_POLYGONS = 3000
_CORNERS = 27
"""On average; with it, files have the sizes of instances_val2017.json and instances_train2017.json."""
_BLOCK = 2000
_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Shape:
    """How many images and boxes a data set has."""

    images: int
    boxes: int


VALIDATION, TRAINING = Shape(5_000, 36_781), Shape(118_287, 860_001)


def name_of(number: int) -> str:
    """An image's file name, as COCO names them."""
    return f"{number:012}.jpg"


def size_of(number: int) -> tuple[int, int]:
    """An image's width and height."""
    return SIZES[number % len(SIZES)]


def write_coco(file: Path, shape: Shape, seed: int = 1) -> int:
    """Write an instances file, a block at a time; returns its bytes."""
    with file.open("w", encoding="ascii") as out:
        texts = _document(shape, random.Random(seed))
        while block := "".join(islice(texts, _BLOCK)):
            out.write(block)
    return file.stat().st_size


def _document(shape: Shape, dice: random.Random) -> Iterator[str]:
    yield '{"info": {"description": "COCO 2017 Dataset", "version": "1.0", "year": 2017}, "licenses": [], "images": ['
    for number in range(shape.images):
        yield f"{', ' if number else ''}{_image(number)}"
    yield '], "annotations": ['
    polygons = [_polygon(dice) for _ in range(_POLYGONS)]
    frequencies = list(accumulate(1 / rank for rank in range(1, CLASSES + 1)))
    categories = dice.choices(range(1, CLASSES + 1), cum_weights=frequencies, k=shape.boxes)
    for number, category in enumerate(categories):
        yield f"{', ' if number else ''}{_annotation(number, category, shape.images, polygons, dice)}"
    listed = ", ".join(f'{{"supercategory": "thing", "id": {n}, "name": "class {n}"}}' for n in range(1, CLASSES + 1))
    yield f'], "categories": [{listed}]}}'


def _image(number: int) -> str:
    width, height = size_of(number)
    return (
        f'{{"license": 3,"file_name": "{name_of(number)}","coco_url": '
        f'"http://images.cocodataset.org/train2017/{name_of(number)}","height": {height},"width": {width},'
        f'"date_captured": "2013-11-14 11:18:45","flickr_url": '
        f'"http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg","id": {number}}}'
    )


def _polygon(dice: random.Random) -> str:
    corners = min(max(3, round(dice.expovariate(1 / (_CORNERS - 3)) + 3)), 400)
    return ",".join(f"{dice.uniform(0, 640):.2f}" for _ in range(2 * corners))


def _annotation(number: int, category: int, images: int, polygons: list[str], dice: random.Random) -> str:
    image = int(dice.random() * images)
    width, height = size_of(image)
    left, top = dice.random() * width * 0.8, dice.random() * height * 0.8
    across, down = (width - left) * (0.1 + 0.8 * dice.random()), (height - top) * (0.1 + 0.8 * dice.random())
    return (
        f'{{"segmentation": [[{polygons[number % _POLYGONS]}]],"area": {across * down / 2},"iscrowd": 0,'
        f'"image_id": {image},"bbox": [{left:.2f},{top:.2f},{across:.2f},{down:.2f}],'
        f'"category_id": {category},"id": {number}}}'
    )


@cache
def _photograph(size: tuple[int, int]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGB").save(out, "JPEG", quality=55)
    return out.getvalue()


def bytes_of(number: int) -> int:
    """An image's size as a file."""
    return len(_photograph(size_of(number))) + 4 + len(str(number))


def jpeg(number: int) -> bytes:
    """An image, made unlike all others by a comment in it."""
    whole, comment = _photograph(size_of(number)), str(number).encode()
    return b"%s\xff\xfe%s%s%s" % (whole[:2], (len(comment) + 2).to_bytes(2, "big"), comment, whole[2:])


def chunks(file: Path) -> Iterator[bytes]:
    """A file in the storage SDK's steps."""
    with file.open("rb") as opened:
        yield from iter(lambda: opened.read(_CHUNK), b"")
