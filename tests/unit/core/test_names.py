from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import names
from services.errors import BadRequest

LOOPS = st.from_regex(names.LOOP, fullmatch=True)


@pytest.mark.parametrize("text", ["cards", "a-b", "line-7-camera", "a" * 40])
def test_loop_names(text: str) -> None:
    assert names.check_loop_name(text) == text


@pytest.mark.parametrize(
    "text", ["", "ab", "Cards", "7up", "-ab", "ab-", "a_b", "a/b", "a..b", "a" * 41, "cards\n", "ä-cards"]
)
def test_what_is_no_loop_s_name(text: str) -> None:
    with pytest.raises(BadRequest):
        names.check_loop_name(text)


@pytest.mark.parametrize(
    ("blob", "loop"),
    [
        ("cards/images/a.jpg", "cards"),
        ("cards/loop.yaml", "cards"),
        ("cards", None),
        ("cards/", None),
        ("/cards/a.jpg", None),
        ("../cards/a.jpg", None),
        ("Cards/a.jpg", None),
    ],
)
def test_the_loop_of_a_blob(blob: str, loop: str | None) -> None:
    assert names.loop_of_blob(blob) == loop


@given(LOOPS, st.text(), st.text())
def test_a_job_names_its_loop_and_its_trials_name_nobody(loop: str, content: str, config: str) -> None:
    job = names.job_name(loop, content, config)
    assert names.loop_of_job(job) == loop
    assert names.loop_of_job(f"{job}_HD_0") is None
    assert names.loop_of_job(f"{job}_HD") is None


@given(LOOPS, st.text(), st.text(), st.text())
def test_another_content_or_config_is_another_job(loop: str, one: str, other: str, config: str) -> None:
    same = names.job_name(loop, one, config) == names.job_name(loop, other, config)
    assert same == (one == other)


def test_what_is_told_apart_is_not_joined_to_the_same_text() -> None:
    assert names.digest("ab", "c") != names.digest("a", "bc")


@given(LOOPS)
def test_endpoint_names_are_azure_s(loop: str) -> None:
    name = names.endpoint_name(loop, "subscription", "workspace")
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,30}[a-z0-9]", name)
    assert name != names.endpoint_name(loop, "subscription", "another")
