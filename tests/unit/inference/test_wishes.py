from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import BadRequest
from services.inference.wishes import Wishes, accepted, read_wishes


def read(headers: dict[str, str] | None = None, **query: str) -> Wishes:
    return read_wishes(query, headers or {}, 60)


@pytest.mark.parametrize(
    ("accept", "drawn"),
    [
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("image/png", "PNG"),
        ("IMAGE/JPEG", "JPEG"),
        ("image/*", "JPEG"),
        ("image/png;q=0.5, application/json", None),
        ("image/png, application/json", "PNG"),
        ("application/json;q=0.9, image/jpeg", "JPEG"),
        ("image/png;q=0", None),
        ("image/avif,image/webp,*/*;q=0.8", None),
        ("text/html", None),
        ("image/png;q=x", None),
    ],
)
def test_a_picture_is_drawn_where_it_is_preferred(accept: str, drawn: str | None) -> None:
    assert accepted(accept) == drawn
    assert read({"accept": accept}).drawn == drawn


def test_the_query_wins_over_accept() -> None:
    assert read({"accept": "image/png"}, render="jpeg").drawn == "JPEG"
    assert read({"accept": "image/png"}, render="false").drawn is None


def test_a_picture_has_a_threshold_of_its_own() -> None:
    assert read().threshold == 0
    assert read({"accept": "image/png"}).threshold == 0.3
    assert read({"accept": "image/png"}, threshold="0.1").threshold == 0.1


@pytest.mark.parametrize(
    ("headers", "seconds", "preferred"),
    [
        ({}, 60, False),
        ({"prefer": "wait=5"}, 5, True),
        ({"prefer": "respond-async, wait=10"}, 10, True),
        ({"prefer": 'handling=lenient; wait="7"'}, 7, True),
        ({"prefer": "wait=600"}, 60, True),
        ({"prefer": "wait=0"}, 1, True),
        ({"prefer": "await=5"}, 60, False),
        ({"prefer": "wait=soon"}, 60, False),
        ({"x-deadline-ms": "250"}, 0.25, False),
        ({"x-deadline-ms": "250", "prefer": "wait=5"}, 0.25, False),
        ({"x-deadline-ms": "999999999"}, 60, False),
    ],
)
def test_the_caller_says_how_long_to_wait(headers: dict[str, str], seconds: float, preferred: bool) -> None:
    found = read(headers)
    assert (found.deadline, found.preferred) == (seconds, preferred)


@pytest.mark.parametrize(
    ("headers", "query"),
    [({"x-deadline-ms": t}, {}) for t in ("0", "-1", "1.5", "soon", "٣")]
    + [({}, {"top_k": t}) for t in ("0", "-1", "1.5", "1001", "x", "٣")],
)
def test_what_makes_no_sense_is_refused(headers: dict[str, str], query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        read(headers, **query)


def test_a_client_is_who_it_says_or_where_it_comes_from() -> None:
    assert read().client == ""
    assert read({"x-forwarded-for": "203.0.113.9:4711, 10.0.0.1"}).client == "203.0.113.9"
    assert read({"x-forwarded-for": "[2001:db8::1]:4711"}).client == "2001:db8::1"
    assert read({"x-forwarded-for": "2001:db8::1"}).client == "2001:db8::1"
    assert read({"x-forwarded-for": "203.0.113.9", "x-client-key": "till-4"}).client == "till-4"


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_header_is_read_or_refused(accept: str, prefer: str) -> None:
    found = read({"accept": accept, "prefer": prefer})
    assert 1 <= found.deadline <= 60
