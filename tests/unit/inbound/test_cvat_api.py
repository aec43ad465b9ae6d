"""Looking a job up: over HTTP at a server on this machine, which answers rightly, wrongly, slowly or too much."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from services.errors import Upstream, UpstreamBusy, UpstreamRefused, UpstreamTimeout, UpstreamUnreached
from services.inbound import cvat_api
from services.inbound.cvat_api import MOST_PAGES, CvatApi, Server
from services.inbound.cvat_job import Documents, read_job
from services.webhooks.guard import Guard
from tests.support.fake_cvat import TOKEN, Answer, FakeCvat, fake_cvat


@pytest.fixture
def cvat() -> Iterator[FakeCvat]:
    with fake_cvat() as found:
        yield found


def ask(cvat: FakeCvat, token: str = TOKEN, address: str = "") -> Documents | None:
    return CvatApi(Guard(allow_local=True)).documents(Server(address or cvat.url, token), 14)


def failure(cvat: FakeCvat, path: str, answer: Answer) -> Upstream:
    cvat.answer = lambda asked: answer if asked.startswith(path) else None
    with pytest.raises(Upstream) as caught:
        ask(cvat)
    assert TOKEN not in caught.value.detail
    return caught.value


def test_a_job_is_looked_up_with_all_pages_of_its_labels(cvat: FakeCvat) -> None:
    found = ask(cvat)
    assert found is not None
    assert [label["name"] for label in found.labels[:3]] == ["bolt", "nut", "negative"]
    assert sum(frame.content is not None for frame in read_job(found).frames) == 3
    assert [path.partition("?")[0] for path in cvat.asked[:3]] == [
        "/api/jobs/14", "/api/jobs/14/annotations/", "/api/jobs/14/data/meta",
    ]  # fmt: skip
    assert len(cvat.asked) == 5


def test_a_job_that_is_open_again_is_not_looked_into(cvat: FakeCvat) -> None:
    cvat.job["state"] = "in progress"
    assert ask(cvat) is None
    assert len(cvat.asked) == 1


def test_an_address_may_have_a_path_and_end_in_a_slash(cvat: FakeCvat) -> None:
    assert ask(cvat, address=f"{cvat.url}/") is not None
    with pytest.raises(UpstreamRefused):
        ask(cvat, address=f"{cvat.url}/cvat/")
    assert cvat.asked[-1] == "/cvat/api/jobs/14"


def test_older_keys_and_personal_tokens_are_shown_as_cvat_expects() -> None:
    assert Server("", "a" * 40).authorization == f"Token {'a' * 40}"
    assert Server("", "Ab1.x" * 8).authorization.startswith("Bearer ")


def test_a_wrong_token_is_a_refusal_that_does_not_repeat_it(cvat: FakeCvat) -> None:
    with pytest.raises(UpstreamRefused, match="401") as refused:
        ask(cvat, token="expired-token")
    assert "expired-token" not in refused.value.detail


@pytest.mark.parametrize("status", [301, 302, 400, 403, 404, 405, 410])
def test_what_would_be_refused_again_is_a_refusal(cvat: FakeCvat, status: int) -> None:
    found = failure(cvat, "/api/jobs/14/data", (status, {"location": "http://127.0.0.1:1/"}, TOKEN.encode()))
    assert isinstance(found, UpstreamRefused)
    assert str(status) in found.detail


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_by_is_no_refusal(cvat: FakeCvat, status: int) -> None:
    assert not isinstance(failure(cvat, "/api/labels", (status, {}, b"")), UpstreamRefused)


def test_a_server_says_how_long_to_wait(cvat: FakeCvat) -> None:
    found = failure(cvat, "/api/jobs/14", (429, {"retry-after": "77"}, b""))
    assert isinstance(found, UpstreamBusy)
    assert found.extra["retry_after"] == 77


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[" * 100_000, b"\xff"])
def test_an_answer_of_another_kind_is_a_refusal(cvat: FakeCvat, body: bytes) -> None:
    assert isinstance(failure(cvat, "/api/jobs/14/annotations", (200, {}, body)), UpstreamRefused)


def test_an_answer_that_is_cut_off_may_be_whole_the_next_time(cvat: FakeCvat) -> None:
    found = failure(cvat, "/api/jobs/14", (200, {"content-length": "999", "connection": "close"}, b"{"))
    assert not isinstance(found, UpstreamRefused)


def test_a_server_that_does_not_end_is_left(cvat: FakeCvat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat_api, "MOST_BYTES", 100_000)
    assert isinstance(failure(cvat, "/api/jobs/14", (200, {}, b" " * 300_000)), UpstreamRefused)
    cvat.page_size = 0
    cvat.answer = lambda path: (200, {}, b'{"next": "x"}') if path.startswith("/api/labels") else None
    with pytest.raises(UpstreamRefused, match=f"{MOST_PAGES} pages"):
        ask(cvat)


def test_labels_that_are_no_list_are_none(cvat: FakeCvat) -> None:
    cvat.answer = lambda path: (200, {}, b'{"results": 7}') if path.startswith("/api/labels") else None
    found = ask(cvat)
    assert found is not None
    assert found.labels == []


def test_a_server_that_is_slow_is_left(cvat: FakeCvat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat_api, "SECONDS", 0.2)
    cvat.answer = lambda path: time.sleep(5)  # in a thread that nobody waits for
    with pytest.raises(UpstreamTimeout):
        ask(cvat)


def test_nobody_at_the_address_may_be_there_later(cvat: FakeCvat) -> None:
    with pytest.raises(UpstreamUnreached):
        ask(cvat, address="http://127.0.0.1:1")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "https://10.0.0.1", "https://cvat.invalid", "http://8.8.8.8"]
)
def test_an_address_inside_our_network_is_not_asked(cvat: FakeCvat, address: str) -> None:
    api = CvatApi(Guard(allow_local=address == "http://8.8.8.8"))
    with pytest.raises(UpstreamRefused, match="not asked"):
        api.documents(Server(address, TOKEN), 14)
    assert cvat.asked == []
