"""What is wrong with a request is told in a sentence, without names of our classes or of a library."""

from __future__ import annotations

from typing import Annotated, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.errors import BadRequest
from services.members import read_body, read_members


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=1)]


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: Annotated[list[Part], Field(min_length=1)] = [Part(size=1)]

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
        if self.name == "nobody":
            raise ValueError("nobody is no name")
        return self


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "name: it is missing"),
        ({"name": "a", "nmae": 1}, "nmae: there is no such member; there are name, parts"),
        ({"name": "a", "parts": [{"size": 1, "x": 2}]}, "parts.0.x: there is no such member"),
        ({"name": 7}, "name: it should be a valid string"),
        ({"name": "a", "parts": [{"size": 0}]}, "parts.0.size: it should be greater than or equal to 1"),
        ({"name": "a", "parts": []}, "parts: List should have at least 1 item, not 0"),
        ({"name": "nobody"}, "The body: nobody is no name"),
        ({"name": "a", "parts": [7]}, "parts.0: a JSON object is expected"),
        ([], "The body: a JSON object is expected"),
        (None, "The body: a JSON object is expected"),
    ],
)
def test_a_sentence_says_what_is_wrong(asked: object, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_members(Whole, asked)
    assert caught.value.detail == said


def test_a_body_is_told_with_one_that_is_right() -> None:
    assert read_body(Whole, b'{"name": "a"}', such_as="") == Whole(name="a")
    for body, said in ((b"", "The body: it is not JSON"), (b"{}", "name: it is missing")):
        with pytest.raises(BadRequest) as caught:
            read_body(Whole, body, such_as='{"name": "a"}')
        assert caught.value.detail == said + '; such as {"name": "a"}'
