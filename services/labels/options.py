"""What loop.yaml says of how label files about many images are to be read; where it changes, they are read again."""

from __future__ import annotations

from dataclasses import dataclass

from services.loop_config import Coordinates, LoopConfig


@dataclass(frozen=True, slots=True)
class Options:
    """`coordinates` is their unit where a format leaves it open; `polygons` whether outlines are kept beside boxes.

    Outlines are ten times as many numbers as boxes, so only a task that learns from them pays for them.
    """

    coordinates: Coordinates = "auto"
    polygons: bool = False


DEFAULT = Options()


def options_of(config: LoopConfig) -> Options:
    """How a loop's label files are read."""
    return Options(config.labels.coordinates, polygons=config.task == "instance_segmentation")
