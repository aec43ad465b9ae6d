"""Views of an image: the plain one, and seeded ones that are turned, moved, scaled and lit differently."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from emulator.azure_ml.serving import pictures
from emulator.azure_ml.training.job import Row, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

FloatArray = NDArray[np.float32]
MOST_TURN_DEGREES = 10.0
FILL = (127, 127, 127)
RECIPE = "b"
"""Changes whenever views or backbone do, so that no old features are taken for new ones."""
LEAST_VISIBLE = 0.4
"""A box of which less than this share is left in the view is left out."""


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """Which view of an image; number 0 is the plain one."""

    number: int
    size: int
    flips: bool

    @property
    def key(self) -> str:
        """Part of the name of a cached feature file."""
        return f"{self.size}-{RECIPE}-{self.number}{'f' if self.flips and self.number else ''}"


def load(path: Path, side: int) -> Image.Image:
    """An image in the displayed frame, as RGB, large enough for views of this side.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as source:
            return pictures.upright(source, 2 * side)
    except pictures.BadImage as error:
        raise UserError(f"{path.name} {error}") from None
    except OSError as error:
        raise UserError(f"{path.name} cannot be opened: {error.strerror}") from None


def content_hash(path: Path) -> str:
    """Hash of an image's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def matrix(spec: ViewSpec, seed: str) -> NDArray[np.float64]:
    """The affine map (2, 3) of normalised coordinates from the plain image to the view."""
    if spec.number == 0:
        return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    dice = random.Random(f"{seed}/{spec.key}")
    turn = math.radians(dice.uniform(-MOST_TURN_DEGREES, MOST_TURN_DEGREES))
    scale, stretch = math.exp(dice.uniform(-0.35, 0.35)), math.exp(dice.uniform(-0.12, 0.12))
    mirror = -1.0 if spec.flips and dice.random() < 0.5 else 1.0
    a = np.array(
        [
            [mirror * scale * stretch * math.cos(turn), -scale * math.sin(turn)],
            [mirror * scale * math.sin(turn) * stretch, scale * math.cos(turn)],
        ]
    )
    shift = np.array([dice.uniform(-0.12, 0.12), dice.uniform(-0.12, 0.12)])
    return np.hstack([a, (0.5 + shift - a @ np.array([0.5, 0.5]))[:, None]])


def pixels(image: Image.Image, spec: ViewSpec, seed: str) -> NDArray[np.uint8]:
    """The view as uint8 (size, size, 3)."""
    if spec.number == 0:
        return pictures.square(image, spec.size)
    forward = matrix(spec, seed)
    # resized first, which averages pixels away as the plain view does; what is left to do keeps the scale about 1
    side = round(spec.size * max(0.5, float(np.abs(np.linalg.det(forward[:, :2]))) ** 0.5))
    back = np.linalg.inv(np.vstack([forward, [0.0, 0.0, 1.0]]))[:2] * side
    coefficients = [*(back[0, :2] / spec.size), back[0, 2], *(back[1, :2] / spec.size), back[1, 2]]
    turned = image.resize((side, side), Image.Resampling.BILINEAR).transform(
        (spec.size, spec.size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR, fillcolor=FILL
    )
    return np.asarray(_lit(turned, random.Random(f"{seed}/{spec.key}/light")))


def _lit(image: Image.Image, dice: random.Random) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(dice.uniform(0.65, 1.35))
    return image


def boxes_in_view(row: Row, spec: ViewSpec, seed: str) -> tuple[FloatArray, NDArray[np.int64]]:
    """Boxes (n, 4) and classes (n,) as they lie in the view."""
    boxes = np.array(row.boxes, dtype=np.float64).reshape(-1, 4)
    labels = np.array(row.labels if row.boxes else (), dtype=np.int64)
    if spec.number == 0 or not len(boxes):
        return boxes.astype(np.float32), labels
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    m = matrix(spec, seed)
    moved = corners @ m[:, :2].T + m[:, 2]
    full = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
    # a turned box's upright hull is larger than the thing in it: take back half of what turning added
    centre, half = (full[:, :2] + full[:, 2:]) / 2, (full[:, 2:] - full[:, :2]) / 2
    plain = (boxes[:, 2:] - boxes[:, :2]) / 2 * np.abs(np.diag(m[:, :2]))
    half = (half + np.minimum(plain, half)) / 2
    full = np.concatenate([centre - half, centre + half], axis=1)
    clipped = full.clip(0.0, 1.0)
    keep = _area(clipped) > LEAST_VISIBLE * np.maximum(_area(full), 1e-9)
    return clipped[keep].astype(np.float32), labels[keep]


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    return area


def specs(views: int, size: int, *, flips: bool) -> Sequence[ViewSpec]:
    """The plain view and `views` others."""
    return [ViewSpec(number, size, flips) for number in range(views + 1)]
