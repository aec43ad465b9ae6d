"""Pictures as the network takes them, the same when learning and when serving: upright, RGB, small enough."""

from __future__ import annotations

from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MOST_PIXELS = 50_000_000


class BadImage(Exception):
    """These bytes are no picture that is taken."""


def upright(source: IO[bytes], side: int) -> Image.Image:
    """An image in the displayed frame, RGB, both sides of a JPEG reduced to no less than `side` while decoding.

    Raises:
        BadImage: it cannot be read, or declares more pixels than anybody needs.
    """
    try:
        with Image.open(source) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadImage(f"declares {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}")
            image.draft("RGB", (side, side))
            return ImageOps.exif_transpose(image).convert("RGB")
    except Image.DecompressionBombError:
        raise BadImage("declares more pixels than can be read") from None
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError) as error:
        raise BadImage(f"cannot be read as an image ({type(error).__name__})") from None


def square(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """The whole image as uint8 (side, side, 3), whatever its aspect."""
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
