"""Our own label of one image: what labelling tools, webhooks and scripts write, as `labels/<stem of the image>.json`.

`python -m services.labels.label_file > docs/label.schema.json` writes its JSON Schema.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from services.labels.record import ImageRecord, RawLabel
from services.labels.shapes import MOST
from services.labels.values import MOST_CLASS, MOST_NAME, class_name, usable_text

Unit = Literal["pixels", "shares"]


def _class(text: str) -> str:
    found = class_name(text)
    if found is None:
        raise PydanticCustomError("class", "a class's name without control characters")
    return found


def _safe(text: str) -> str:
    if usable_text(text, MOST_NAME) is None:
        raise PydanticCustomError("text", "a text without control characters")
    return text


def _even(numbers: list[float]) -> list[float]:
    if len(numbers) % 2:
        raise PydanticCustomError("points", "x and y of each point")
    return numbers


Number = Annotated[float, Field(ge=-MOST, le=MOST)]
Corners = Annotated[list[Number], Field(min_length=4, max_length=4)]
Part = Annotated[list[Number], Field(min_length=6), AfterValidator(_even)]
Text = Annotated[str, Field(min_length=1, max_length=MOST_NAME), AfterValidator(_safe)]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


_ARRAYS: dict[str, JsonValue] = {"box": {"type": "array"}, "polygon": {"type": "array"}}


class LabelledObject(_Part):
    """One object with its box or its outline, or without either a class of the whole image."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": [*_ARRAYS], "properties": {**_ARRAYS}}})

    label: Annotated[str, Field(min_length=1, max_length=MOST_CLASS), AfterValidator(_class)]
    """The class."""
    box: Corners | None = None
    """Left, top, right, bottom."""
    polygon: Annotated[list[Part], Field(min_length=1)] | None = None
    """The outlines of the object's parts, each x1, y1, x2, y2, …; they close by themselves."""
    crowd: bool = False
    """Whether it is a crowd of objects that are not told apart."""

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if self.box is not None and self.polygon is not None:
            raise PydanticCustomError("shape", "a box or a polygon, not both")
        return self


class LabelHead(_Part):
    """All of a label file but what its labels are."""

    visionloop: Literal[1]
    """The format's version, and how the file is recognised."""
    image: Text | None = None
    """The image's path: the label file's own name says which image is meant, and this where it may mean several."""
    width: Annotated[int, Field(ge=1, lt=1_000_000)] | None = None
    """Pixels of the image as displayed when it was labelled; compared with the image where it is given."""
    height: Annotated[int, Field(ge=1, lt=1_000_000)] | None = None
    """As width."""
    unit: Unit = "pixels"
    """Of all coordinates: pixels of the displayed image, or shares (0 to 1) of its width and height."""
    labels: list[Any] = []
    negative: bool = False
    """Says that the image was looked at and nothing is in it; then, and only then, `labels` is empty."""
    source: Text | None = None
    """Who or what wrote the file, for people."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.negative == bool(self.labels):
            raise PydanticCustomError("labels", "labels, or negative: true, and not both")
        return self


class LabelFile(LabelHead):
    """What is known of one image."""

    labels: list[LabelledObject] = []
    """All its objects or classes; the file replaces what was said of the image before."""

    @classmethod
    def of(cls, record: ImageRecord, source: str | None = None) -> Self:
        """The file that says the same as a record of another format, such as of one annotation that a webhook brought.

        Raises:
            ValidationError: a number or text of the record is not as the schema allows.
            ValueError: some of its labels are in pixels, others in shares.
        """
        if len({label.shares for label in record.labels if label.box}) > 1:
            raise ValueError("labels in pixels and in shares in one record")
        shares = any(label.shares for label in record.labels)
        return cls(
            visionloop=1,
            image=record.image or None,
            width=record.width or None,
            height=record.height or None,
            unit="shares" if shares else "pixels",
            labels=[_object(label) for label in record.labels],
            negative=not record.labels,
            source=source,
        )

    def to_json(self) -> bytes:
        """The file's content, without members that say nothing."""
        return self.model_dump_json(exclude_defaults=True).encode()


def _object(label: RawLabel) -> LabelledObject:
    box = list(label.box) if label.box and not label.polygons else None
    polygon = [list(part) for part in label.polygons] or None
    return LabelledObject(label=label.label, box=box, polygon=polygon, crowd=label.is_crowd)


def schema() -> str:
    """The JSON Schema as text."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "labels/<stem of the image>.json"}
    return json.dumps({**LabelFile.model_json_schema(), **head, **_EITHER}, indent=2) + "\n"


_EITHER = {
    "oneOf": [
        {"required": ["labels"], "properties": {"labels": {"minItems": 1}, "negative": {"const": False}}},
        {"required": ["negative"], "properties": {"labels": {"maxItems": 0}, "negative": {"const": True}}},
    ]
}

if __name__ == "__main__":
    sys.stdout.write(schema())
