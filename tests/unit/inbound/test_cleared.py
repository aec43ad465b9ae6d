"""What a source was given may be taken from it again: null is what it would be had it never been given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.errors import BadRequest
from tests.unit.inbound.test_cvat import TOKEN, House

ADDRESS = "https://cvat.example/"


@pytest.fixture
def house() -> House:
    return House()


def changed(house: House, **members: Any) -> dict[str, Any]:
    return house.sources.update(house.id, json.dumps(members).encode())


def test_null_clears_a_description_and_leaves_the_rest(house: House) -> None:
    before = changed(house, description="of the line")
    assert changed(house, description=None) == before | {"description": ""}
    assert house.sources.get(house.id).token == TOKEN


@pytest.mark.parametrize("cleared", [{"address": None, "token": None}, {"address": None}, {"address": ""}])
def test_without_an_address_there_is_no_token(house: House, cleared: dict[str, Any]) -> None:
    """From then on a program has to pass CVAT's messages on with what they are about."""
    assert changed(house, **cleared)["address"] == ""
    assert house.sources.get(house.id).token == ""
    assert house.secret == house.sources.get(house.id).secret


@pytest.mark.parametrize(
    "wrong", [{"token": None}, {"token": ""}, {"address": None, "token": "x"}, {"token": None, "address": ADDRESS}]
)
def test_an_address_without_its_token_and_a_token_without_its_address_are_refused(
    house: House, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest):
        changed(house, **wrong)
    found = house.sources.get(house.id)
    assert (found.address, found.token) == (ADDRESS, TOKEN)


def test_what_is_left_out_stays(house: House) -> None:
    assert changed(house) == changed(house)
    assert house.sources.get(house.id).token == TOKEN
