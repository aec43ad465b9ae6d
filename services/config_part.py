"""What the parts of loop.yaml are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0, le=30 * 24 * 3600)]
ClassName = Annotated[str, Field(min_length=1, max_length=256)]


class Part(BaseModel):
    """A part of loop.yaml: an unknown member is a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
