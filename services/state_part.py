"""What the parts of a loop's state document are made of."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of the state document: changed in place under the loop's lease, unknown fields kept out."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)


class ModelRef(Part):
    """A registered Azure ML model."""

    name: str
    version: str


class Order(Part):
    """What a person asked for, until it is done."""

    by: str = ""
    why: str = ""
    at: datetime
    again: bool = False
    """For training: also where a run on the same data with the same settings failed or was cancelled."""

    @property
    def signed(self) -> str:
        """` by NAME: WHY`, as far as they were given."""
        by, why = f" by {self.by}" if self.by else "", f": {self.why}" if self.why else ""
        return f"{by}{why}"
