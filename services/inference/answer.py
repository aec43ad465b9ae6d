"""What a caller gets: our own shape, whatever the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.errors import Upstream
from services.inference.image import Picture
from services.loop_config import Task
from services.state import Champion, ModelRef, Slot


class Box(BaseModel):
    """Corners; of `box` in pixels of the displayed image, of `normalized_box` from 0 to 1."""

    x1: float
    y1: float
    x2: float
    y2: float


class Prediction(BaseModel):
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


class _Scored(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class _Place(_Scored):
    topX: float  # noqa: N815  # Azure ML's names
    topY: float  # noqa: N815
    bottomX: float  # noqa: N815
    bottomY: float  # noqa: N815


class _Found(_Scored):
    box: _Place
    label: str
    score: float


class _Boxes(_Scored):
    boxes: list[_Found]


class _Classes(_Scored):
    probs: list[float]
    labels: list[str]


def predictions(
    scored: Mapping[str, Any], task: Task, size: Picture, threshold: float, top: int | None = None
) -> list[Prediction]:
    """Azure ML's answer for one image in our shape: at least `threshold` certain, and no more than `top`.

    Raises:
        Upstream: the slot answered something else.
    """
    try:
        if task in {"object_detection", "instance_segmentation"}:
            found = [_box(one, size) for one in _Boxes.model_validate(scored).boxes]
        else:
            classes = _Classes.model_validate(scored)
            pairs = zip(classes.labels, classes.probs, strict=True)
            found = [Prediction(label=label, score=score) for label, score in pairs]
    except (ValidationError, ValueError):
        raise Upstream("The slot answered in a shape that is not Azure ML's") from None
    return sorted((p for p in found if p.score >= threshold), key=lambda p: -p.score)[:top]


def to_json(answers: Sequence[Answer], *, several: bool) -> bytes:
    """One answer as an object, several as a list."""
    if several:
        return b"[" + b",".join(one.model_dump_json(exclude_none=True).encode() for one in answers) + b"]"
    return answers[0].model_dump_json(exclude_none=True).encode()


def _box(found: _Found, size: Picture) -> Prediction:
    place = found.box
    normal = Box(x1=place.topX, y1=place.topY, x2=place.bottomX, y2=place.bottomY)
    pixels = Box(
        x1=round(normal.x1 * size.width, 2),
        y1=round(normal.y1 * size.height, 2),
        x2=round(normal.x2 * size.width, 2),
        y2=round(normal.y2 * size.height, 2),
    )
    return Prediction(label=found.label, score=found.score, box=pixels, normalized_box=normal)


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
