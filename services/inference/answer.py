"""What a caller gets: our own shape, whatever the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from services.errors import Upstream
from services.inference.image import Picture
from services.loop_config import Task
from services.state import Champion, ModelRef, Slot


@dataclass(slots=True)
class Box:
    """Corners; of `box` in pixels of the displayed image, of `normalized_box` from 0 to 1."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(slots=True)
class Prediction:
    """One thing found, or one class; `box` only for detection."""

    label: str
    score: float
    box: Box | None = None
    normalized_box: Box | None = None


class ImageSize(BaseModel):
    """In pixels, as displayed."""

    width: int
    height: int


class Answer(BaseModel):
    """A prediction of the live model."""

    loop: str
    model: ModelRef
    slot: Slot
    task: Task
    image: ImageSize
    predictions: list[Prediction]
    """Most confident first."""
    timing_ms: dict[str, float]


@dataclass(slots=True)
class _Place:
    topX: FiniteFloat  # noqa: N815  # Azure ML's names
    topY: FiniteFloat  # noqa: N815
    bottomX: FiniteFloat  # noqa: N815
    bottomY: FiniteFloat  # noqa: N815


@dataclass(slots=True)
class _Found:
    box: _Place
    label: str
    score: FiniteFloat


@dataclass(slots=True)
class _Boxes:
    boxes: list[_Found]


@dataclass(slots=True)
class _Classes:
    probs: list[FiniteFloat]
    labels: list[str]


_BOXES, _CLASSES = TypeAdapter(_Boxes), TypeAdapter(_Classes)
"""What a slot said is validated once, and whole: several times faster than object by object."""


def predictions(
    scored: Mapping[str, Any], task: Task, size: Picture, threshold: float, top: int | None = None
) -> list[Prediction]:
    """Azure ML's answer for one image in our shape: at least `threshold` certain, and no more than `top`.

    Raises:
        Upstream: the slot answered something else.
    """
    try:
        if task in {"object_detection", "instance_segmentation"}:
            certain = [one for one in _BOXES.validate_python(scored).boxes if one.score >= threshold]
            return [_box(one, size) for one in sorted(certain, key=attrgetter("score"), reverse=True)[:top]]
        classes = _CLASSES.validate_python(scored)
        pairs = [pair for pair in zip(classes.probs, classes.labels, strict=True) if pair[0] >= threshold]
        return [Prediction(label, score) for score, label in sorted(pairs, key=itemgetter(0), reverse=True)[:top]]
    except (ValidationError, ValueError):
        raise Upstream("The slot answered in a shape that is not Azure ML's") from None


def to_json(answers: Sequence[Answer], *, several: bool) -> bytes:
    """One answer as an object, several as a list."""
    if several:
        return b"[" + b",".join(one.model_dump_json(exclude_none=True).encode() for one in answers) + b"]"
    return answers[0].model_dump_json(exclude_none=True).encode()


def _box(found: _Found, size: Picture) -> Prediction:
    place, width, height = found.box, size.width, size.height
    x1, y1, x2, y2 = place.topX, place.topY, place.bottomX, place.bottomY
    pixels = Box(round(x1 * width, 2), round(y1 * height, 2), round(x2 * width, 2), round(y2 * height, 2))
    return Prediction(found.label, found.score, pixels, Box(x1, y1, x2, y2))


def answer(
    loop: str, champion: Champion, size: Picture, found: Sequence[Prediction], timing: Mapping[str, float]
) -> Answer:
    """Put an answer together."""
    return Answer(
        loop=loop,
        model=champion.model,
        slot=champion.slot,
        task=champion.task,
        image=ImageSize(width=size.width, height=size.height),
        predictions=list(found),
        timing_ms={name: round(value, 2) for name, value in timing.items()},
    )
