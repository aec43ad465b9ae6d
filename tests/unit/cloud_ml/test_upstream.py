from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cloud.upstream import MOST_CHARACTERS, clean, retry_after, upstream_error
from services.errors import Conflict, Upstream, UpstreamRefused, VisionloopError


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), (" 1.5 ", 1.5), ("", None), ("soon", None), ("-3", None), ("9" * 40, None), ("1e9", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    found = retry_after({"Retry-After": later})
    assert found is not None
    assert 95 < found <= 100
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({}) is None


@given(st.text(max_size=40))
def test_whatever_the_header_holds(value: str) -> None:
    found = retry_after({"Retry-After": value})
    assert found is None or found >= 0


@given(st.integers(100, 599), st.text(max_size=900))
def test_every_status_is_an_error_of_ours(status: int, said: str) -> None:
    error = upstream_error(status, {}, "Asking", said)
    assert isinstance(error, VisionloopError)
    assert error.detail.startswith(f"Asking: Azure answered {status}")
    assert len(error.detail) < MOST_CHARACTERS + 60
    assert "\n" not in error.detail


def test_a_conflict_is_no_upstream_failure() -> None:
    assert isinstance(upstream_error(409, {}, "x"), Conflict)
    assert not isinstance(upstream_error(409, {}, "x"), Upstream)


def test_an_endpoint_that_is_being_changed_is_a_conflict_whatever_the_status() -> None:
    said = "Cannot create a deployment in endpoint e-1 because it is in {} provisioning state."
    assert isinstance(upstream_error(400, {}, "x", said.format("Updating")), Conflict)
    assert isinstance(upstream_error(400, {}, "x", said.format("Failed")), UpstreamRefused)


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/c?sv=1&sig=HUSHHUSH%3D&se=2",
        'AccountKey: "HUSHHUSH=="; key=HUSHHUSH',
        "Authorization: Bearer HUSHHUSH",
        '{"token": "HUSHHUSH"}',
        "password = HUSHHUSH",
        "SIG=HUSHHUSH",
    ],
)
def test_what_looks_like_a_secret_is_not_told(text: str) -> None:
    assert "HUSHHUSH" not in clean(text)


def test_ordinary_words_stay() -> None:
    said = "Resource group 'g' could not be found; the monkey is fine"
    assert clean(said) == said


def test_colours_of_a_terminal_are_left_out() -> None:
    said = "\x1b[37m\x1b[30m\n1) Resource was not found.\x1b[39m\nDetails: \x1b[31m(x) Asset azureml:own\x00 does not exist\x1b[39m"
    assert clean(said) == "1) Resource was not found. Details: (x) Asset azureml:own does not exist"
