"""Whether boxes are in pixels or in shares of their images, where the format leaves it open."""

from __future__ import annotations

from collections.abc import Callable

from services.loop_config import Coordinates

SETTLED = "boxes in pixels, or labels: {coordinates: normalised} (or pixels) in loop.yaml"


def unit_of(
    declared: Coordinates, largest: float, *, whole: bool, larger_images: Callable[[], bool]
) -> Coordinates | None:
    """The unit, or None where nothing proves it.

    Args:
        declared: what loop.yaml says.
        largest: the largest number of all boxes, without its sign.
        whole: whether none of the numbers has a fraction.
        larger_images: whether every image with boxes is known to be larger than one pixel each way.
    """
    if declared != "auto":
        return declared
    if largest > 1:
        return "pixels"
    return "normalised" if not whole and larger_images() else None
