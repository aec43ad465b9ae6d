"""How sure a difference is: both models measured again on many draws of the same images, with replacement.

The paired bootstrap over images, percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
Images are drawn for both models alike, so that what is hard for both does not look like a difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from services.decisions.promote import FEWEST_IMAGES
from services.state import Interval

LEVEL = 0.95
MOST_RESAMPLES, FEWEST_RESAMPLES = 1000, 200
MOST_NUMBERS = 50_000_000
"""What all resamples of one model may take; more to measure is measured less often, not for longer."""

Resampled = Callable[[Any], Any]
"""[resample, image] counts to [resample] scores; `size`, where it has one, is what one resample takes."""


def difference(challenger: Resampled, champion: Resampled, images: int, seed: int) -> Interval | None:
    """The interval of challenger minus champion; None where there are too few images, or draws that can be measured.

    The same seed and answers give the same interval. `images` is the number of images that both were measured on.
    """
    if images < FEWEST_IMAGES:
        return None
    import numpy as np

    count = resamples(max(getattr(challenger, "size", images), getattr(champion, "size", images)))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(images, np.full(images, 1 / images), size=count)
    differences = challenger(drawn) - champion(drawn)
    differences = differences[np.isfinite(differences)]
    if len(differences) < FEWEST_RESAMPLES / 2:
        return None
    low, high = np.quantile(differences, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    better = float((differences > 0).mean())
    return Interval(low=float(low), high=float(high), better=better, level=LEVEL, resamples=len(differences))


def resamples(size: int) -> int:
    """How many draws are affordable where one takes so many numbers."""
    return min(MOST_RESAMPLES, max(FEWEST_RESAMPLES, math.floor(MOST_NUMBERS / max(size, 1))))
