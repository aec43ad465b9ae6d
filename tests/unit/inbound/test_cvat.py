"""CVAT's webhooks: what is taken, what is refused, and what becomes of a job that is completed, in whatever order."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.context import LoopContext
from services.errors import (
    BadRequest,
    ChangedMeanwhile,
    Forged,
    NotFound,
    TooLarge,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
)
from services.inbound.cvat_api import CvatApi, Server
from services.inbound.cvat_job import Documents
from services.inbound.sources import Source
from services.inbound.stage import InboundStage
from services.inbound.taken import KEPT
from services.state import LoopState
from services.state_store import StateStore
from services.status.documents import Status
from services.status.problems import ProblemReports
from services.timeline import Timeline
from tests.support.fake_cvat import sample
from tests.support.inbound_house import InboundHouse
from tests.unit.inbound.test_cvat_job import documents

TOKEN = "3f2a.canary-token"
FILES = [f"cards/labels/cvat/shelf/{name}.json" for name in "abc"]


class FakeCvat(CvatApi):
    """Answers as it is told."""

    def __init__(self, *answers: Documents | Exception | None) -> None:
        self.answers, self.asked = [*answers], list[tuple[Server, int]]()

    def documents(self, server: Server, job: int) -> Documents | None:
        self.asked.append((server, job))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class House(InboundHouse):
    """A loop that a CVAT project sends to."""

    def __init__(self) -> None:
        super().__init__()
        self.id, self.secret = self.register(kind="cvat", address="https://cvat.example/", token=TOKEN)
        self.cloud.clock.now = datetime(2026, 1, 2, 11, tzinfo=UTC)

    def send(self, message: Any, **forged: str) -> dict[str, Any]:
        body = json.dumps(message).encode()
        return self.inbound.take(self.id, self.signed(body) | forged, body)

    def signed(self, body: bytes) -> dict[str, str]:
        return {"x-signature-256": "sha256=" + hmac.digest(self.secret.encode(), body, hashlib.sha256).hex()}

    def files(self) -> list[str]:
        return sorted(self.cloud.data.blobs)


@pytest.fixture
def house() -> House:
    return House()


def done(**job: Any) -> dict[str, Any]:
    found: dict[str, Any] = sample("update.job")
    return found | {"job": found["job"] | job}


def changed(minute: int, *shapes: dict[str, Any]) -> Documents:
    """The job as it is at another minute, with other shapes."""
    job = sample("job") | {"updated_date": f"2026-01-02T10:{minute:02}:00Z"}
    return documents(job=job, annotations={"shapes": [*shapes], "tags": [], "tracks": []})


def box(label: int, frame: int = 15) -> dict[str, Any]:
    return {"type": "rectangle", "frame": frame, "label_id": label, "points": [1, 2, 30, 40]}


def test_a_completed_job_becomes_label_files_once_it_is_worked_on(house: House) -> None:
    cvat = FakeCvat(documents())
    assert house.send(done())["taken"]
    assert (house.files(), cvat.asked) == ([], [])
    assert house.work(cvat) == []
    assert house.files() == FILES
    assert cvat.asked == [(Server("https://cvat.example/", TOKEN), 14)]
    assert json.loads(house.cloud.data.blobs[FILES[0]].data)["source"] == "CVAT, job 14"
    assert house.bodies() == []


def test_frames_of_one_name_in_other_folders_have_files_of_their_own(house: House) -> None:
    meta = sample("meta")
    for frame, folder in zip(meta["frames"], "abcde", strict=True):
        frame["name"] = f"{folder}/1.jpg"
    shapes = [box(3, 15), box(4, 16)]
    annotations = {"shapes": shapes, "tags": [], "tracks": []}
    for minute in (30, 40):
        at = f"2026-01-02T10:{minute}:00Z"
        house.send(done(updated_date=at))
        job = sample("job") | {"updated_date": at}
        house.work(FakeCvat(documents(job=job, meta=meta, annotations=annotations)))
    found = {name: json.loads(blob.data)["labels"][0]["label"] for name, blob in house.cloud.data.blobs.items()}
    assert sorted(found.values()) == ["bolt", "nut"]
    assert len([name for name in found if name == "cards/labels/cvat/1.json"]) == 1


def test_frames_of_one_stem_in_one_folder_have_files_of_their_own(house: House) -> None:
    """They are written at once; of a job that comes again each is written where it was."""
    meta = sample("meta")
    for frame, kind in zip(meta["frames"], ("jpg", "png", "bmp", "webp", "tif"), strict=True):
        frame["name"] = f"shelf/1.{kind}"
    annotations = {"shapes": [box(3, 15), box(4, 16)], "tags": [], "tracks": []}
    files = []
    for minute in (30, 40):
        at = f"2026-01-02T10:{minute}:00Z"
        house.send(done(updated_date=at))
        house.work(FakeCvat(documents(job=sample("job") | {"updated_date": at}, meta=meta, annotations=annotations)))
        read = {name: json.loads(blob.data) for name, blob in house.cloud.data.blobs.items()}
        said = sorted((each["image"], each["labels"][0]["label"]) for each in read.values())
        assert said == [("1.jpg", "bolt"), ("1.png", "nut")]
        files.append(sorted(read))
    assert files[0] == files[1]


def test_the_same_message_again_does_nothing_and_the_same_job_again_the_same(house: House) -> None:
    cvat = FakeCvat(documents())
    house.send(done())
    house.work(cvat)
    first = {name: blob.data for name, blob in house.cloud.data.blobs.items()}
    assert house.send(done())["taken"] is False
    assert house.send(done(updated_date="2026-01-02T10:31:00Z"))["taken"]
    house.work(cvat)
    assert {name: blob.data for name, blob in house.cloud.data.blobs.items()} == first


def test_a_message_that_comes_twice_before_it_is_worked_on_is_worked_on_once(house: House) -> None:
    cvat = FakeCvat(documents())
    house.send(done())
    house.send(done())
    house.work(cvat)
    assert len(cvat.asked) == 1


def test_of_a_burst_only_what_is_newer_than_the_last_look_is_looked_up(house: House) -> None:
    cvat = FakeCvat(changed(40, box(3)), changed(50, box(4)))
    for minute in (30, 35, 40, 45):
        house.send(done(updated_date=f"2026-01-02T10:{minute}:00Z"))
    assert house.work(cvat) == []
    assert len(cvat.asked) == 2
    assert house.bodies() == []
    assert house.send(done(updated_date="2026-01-02T10:35:00Z"))["taken"] is False


def test_a_job_that_is_opened_and_completed_again_replaces_what_it_said(house: House) -> None:
    cvat = FakeCvat(changed(30, box(3), box(3, 16)), changed(40, box(4)))
    for minute in (30, 40):
        house.send(done(updated_date=f"2026-01-02T10:{minute}:00Z"))
        house.work(cvat)
    assert house.files() == FILES[:1]
    assert json.loads(house.cloud.data.blobs[FILES[0]].data)["labels"][0]["label"] == "nut"


def test_what_was_looked_up_earlier_writes_over_nothing_newer(house: House) -> None:
    """The older look is held up until the newer is written, or until it has begun: whatever the order of writes."""
    for call in ("before:blob.write", "after:blob.write"):
        for number in range(1, 100):
            house = House()
            house.send(done(updated_date="2026-01-02T10:30:00Z"))
            between = Between(house, call, number, FakeCvat(changed(40, box(4))))
            house.cloud.on_call = between
            house.work(FakeCvat(changed(30, box(3), box(3, 16))))
            if not between.came:
                break
            assert house.files() == FILES[:1], (call, number)
            assert json.loads(house.cloud.data.blobs[FILES[0]].data)["labels"][0]["label"] == "nut"
        assert number > 6, "it was held up at each of its writes"


class Between:
    """Another worker looks the job up, and writes all, at one of this one's calls."""

    def __init__(self, house: House, call: str, number: int, cvat: FakeCvat) -> None:
        self.house, self.call, self.number, self.cvat = house, call, number, cvat
        self.came, self._count = False, itertools.count(1)

    def __call__(self, call: str) -> None:
        if call != self.call or next(self._count) != self.number:
            return
        self.came = True
        self.house.cloud.on_call = lambda call: None
        waiting, self.house.queue.sent = self.house.queue.sent, []
        self.house.send(done(updated_date="2026-01-02T10:40:00Z"))
        self.house.work(self.cvat)
        self.house.queue.sent = waiting


def test_frames_that_nothing_was_ever_said_of_cost_nothing(house: House) -> None:
    house.send(done())
    house.work(FakeCvat(changed(30, box(3))))
    known = [name for name in house.cloud.system.blobs if "/images/" in name]
    assert len(known) == 1


def test_an_opinion_of_a_consensus_is_left_to_cvat_to_merge(house: House) -> None:
    assert "no completed job" in house.send(done(type="consensus_replica"))["says"]
    assert house.queue.sent == []


def test_two_who_change_a_source_at_once_lose_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    read = house.sources.get

    def meanwhile(source: str) -> Source:
        found = read(source)
        monkeypatch.setattr(house.sources, "get", read)
        house.sources.update(source, b'{"token": "newer"}')
        return found

    monkeypatch.setattr(house.sources, "get", meanwhile)
    house.sources.update(house.id, b'{"description": "of the line"}')
    found = house.sources.get(house.id)
    assert (found.token, found.description) == ("newer", "of the line")


def test_a_job_that_is_no_longer_completed_is_left_until_it_is(house: House) -> None:
    house.send(done())
    assert house.work(FakeCvat(None)) == []
    assert (house.files(), house.notes(), house.bodies()) == ([], [], [])


def test_a_message_that_carries_the_job_needs_no_server(house: House) -> None:
    cvat = FakeCvat(NotFound("nobody is asked"))
    carried = {name: sample(name) for name in ("annotations", "meta", "labels")}
    house.send(done() | carried)
    house.work(cvat)
    assert (house.files(), cvat.asked) == (FILES, [])
    with pytest.raises(BadRequest, match="meta"):
        house.send(done() | {"annotations": {}})


@pytest.mark.parametrize(
    "message",
    [sample("ping"), sample("create.job"), done(state="in progress"), done(state="rejected"), {"event": "update:task"},
     {"event": "delete:job", "job": sample("job")}],
)  # fmt: skip
def test_what_is_about_no_completed_job_is_acknowledged(house: House, message: dict[str, Any]) -> None:
    assert "Nothing" in house.send(message)["says"]
    assert not house.queue.sent


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=" + "0" * 64, "sha1=x", "é", "0" * 64])
def test_forgeries_are_refused_before_the_body_is_read(house: House, signature: str) -> None:
    with pytest.raises(Forged) as refused:
        house.inbound.take(house.id, {"x-signature-256": signature}, b"{")
    assert house.secret not in refused.value.detail
    assert (house.queue.sent, house.bodies()) == ([], [])


def test_another_sources_secret_and_a_changed_body_are_no_proof(house: House) -> None:
    _, other = house.register(kind="cvat")
    body = json.dumps(done()).encode()
    forged = {"x-signature-256": "sha256=" + hmac.digest(other.encode(), body, hashlib.sha256).hex()}
    for headers, sent in ((forged, body), (house.signed(body), body.replace(b"14", b"15")), ({}, body)):
        with pytest.raises(Forged):
            house.inbound.take(house.id, headers, sent)


def test_a_repetition_that_is_older_than_our_memory_is_refused(house: House) -> None:
    house.cloud.clock.now += KEPT + timedelta(hours=1)
    with pytest.raises(Forged, match="7 days"):
        house.send(done())
    assert not house.queue.sent


@pytest.mark.parametrize(
    "message", [[], 7, {}, {"event": 7}, {"event": "update:job"}, done(id="14"), done(id=True), done(updated_date=7)]
)
def test_a_body_that_is_no_message_is_a_bad_request(house: House, message: Any) -> None:
    with pytest.raises(BadRequest):
        house.send(message)


def test_a_body_over_the_limit_is_too_large(house: House) -> None:
    with pytest.raises(TooLarge):
        house.inbound.take(house.id, {}, b" " * (64 * 2**20 + 1))


def test_a_server_that_is_away_is_asked_again_later_and_told_of_the_second_time(house: House) -> None:
    cvat = FakeCvat(UpstreamBusy("CVAT answered 503", retry_after=90.0), Upstream("CVAT answered 500"), documents())
    house.send(done())
    assert (house.work(cvat), house.notes()) == ([90.0], [])
    assert (house.work(cvat), len(house.notes())) == ([300.0], 1)
    assert "tried again in 300 s" in house.notes()[0]
    assert (house.work(cvat), house.notes(), house.files()) == ([], [], FILES)


def test_a_refusal_is_told_at_once_and_after_days_it_is_over(house: House) -> None:
    cvat = FakeCvat(UpstreamRefused("CVAT answered 401 to GET /api/jobs/14"))
    house.send(done())
    assert house.work(cvat) == [5.0]
    assert "401" in house.notes()[0]
    for _ in range(9):
        house.work(cvat)
    assert (house.queue.sent, house.bodies()) == ([], [])
    assert "not tried again" in house.notes()[0]
    house.send(done())
    house.work(FakeCvat(documents()))
    assert (house.notes(), house.files()) == ([], FILES)


def test_without_an_address_it_is_said_what_is_missing(house: House) -> None:
    house.id, house.secret = house.register(kind="cvat")
    house.send(done())
    assert house.work() == []
    assert "no address and token" in house.notes()[0]


def test_a_video_is_refused_and_frames_that_are_no_images_are_said(house: House) -> None:
    meta = sample("meta")
    meta["frames"][0]["name"] = "clip.mp4"
    for found in (documents(job=sample("job") | {"mode": "interpolation"}), documents(meta=meta)):
        house.send(done(updated_date=f"2026-01-02T10:3{len(house.notes())}:00Z"))
        house.work(FakeCvat(found))
        assert len(house.notes()) == 1
    assert "1 of its frames are no images" in house.notes()[0]
    assert house.files() == FILES[1:]


@pytest.mark.parametrize("error", [UpstreamBusy("storage is busy"), ChangedMeanwhile("others are faster")])
def test_storage_that_is_away_costs_no_attempt_and_nothing_is_lost(house: House, error: Exception) -> None:
    house.send(done())

    def away(call: str) -> None:
        if call == "before:blob.write":
            raise error

    house.cloud.on_call = away
    assert house.work(FakeCvat(documents())) == [60.0]
    house.cloud.on_call = lambda call: None
    house.work(FakeCvat(documents()))
    assert (house.files(), house.notes()) == (FILES, [])


@pytest.mark.parametrize("body", ["", "{", "[]", '{"source": "in_1", "body": "x"}', '{"source": "../x", "body": "x"}'])
def test_a_message_that_is_not_ours_is_refused(house: House, body: str) -> None:
    with pytest.raises(BadRequest):
        house.worker().work(body)


def test_a_message_of_a_removed_source_is_nothing(house: House) -> None:
    house.send(done())
    house.sources.remove(house.id)
    assert house.work(FakeCvat(documents())) == []
    assert (house.files(), house.bodies()) == ([], [])


def test_a_removed_source_leaves_no_problem(house: House) -> None:
    house.send(done())
    house.work(FakeCvat(UpstreamRefused("no")))
    assert house.notes()
    house.sources.remove(house.id)
    assert house.notes() == []


@pytest.mark.parametrize(
    "asked",
    [{"kind": "generic", "address": "https://x.example", "token": "t"}, {"kind": "cvat", "address": "https://x.example"},
     {"kind": "cvat", "token": "t"}, {"kind": "cvat", "address": "http://x.example", "token": "t"},
     {"kind": "cvat", "address": "https://u:p@x.example", "token": "t"}, {"kind": "cvat", "address": "x", "token": "a\nb"}],
)  # fmt: skip
def test_a_wrong_source_is_refused(house: House, asked: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as refused:
        house.register(**asked)
    assert "p@x" not in refused.value.detail


def test_a_new_token_is_used_and_another_address_takes_its_token_along(house: House) -> None:
    cvat = FakeCvat(documents())
    shown = house.sources.update(house.id, b'{"token": "new", "description": "ours"}')
    assert (shown["description"], "token" in shown, "secret" in shown) == ("ours", False, False)
    house.send(done())
    house.work(cvat)
    assert cvat.asked == [(Server("https://cvat.example/", "new"), 14)]
    house.sources.update(house.id, b'{"token": "x", "address": "https://other.example"}')
    assert house.sources.get(house.id).address == "https://other.example"
    for wrong in (b'{"address": "https://evil.example"}', b'{"kind": "generic"}', b'{"token": ""}', b"[]", b"{",
                  b'{"token": "x", "address": "http://other.example"}', b'{"secret": "x"}'):  # fmt: skip
        with pytest.raises(BadRequest):
            house.sources.update(house.id, wrong)
    assert house.sources.get(house.id).token == "x"
    with pytest.raises(NotFound):
        house.sources.update("in_0", b"{}")


def test_the_token_is_shown_nowhere(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.send(done())
    house.work(FakeCvat(UpstreamRefused("no")))
    queued = [body for body, _ in (*house.queue.sent, *house.cloud.wakes.sent)]
    assert TOKEN not in f"{house.sources.list()} {queued} {house.notes()} {caplog.text}"
    assert house.sources.list()["sources"][0]["address"] == "https://cvat.example/"
    assert [n for n, b in house.cloud.system.blobs.items() if TOKEN.encode() in b.data] == ["inbound/sources.json"]


class TestController:
    """What could not be taken is told once and shown until it worked."""

    @pytest.fixture
    def context(self, house: House) -> LoopContext:
        state = LoopState(loop="cards", created=house.cloud.clock())
        return LoopContext(house.cloud.cloud(), state, lambda _: None, lambda: 100.0)

    def test_it_is_told_and_shown_until_it_worked(self, house: House, context: LoopContext) -> None:
        house.send(done())
        house.work(FakeCvat(UpstreamRefused("CVAT answered 401")))
        for _ in range(2):
            InboundStage().step(context)
        house.work(FakeCvat(UpstreamRefused("CVAT answered 403")))
        InboundStage().step(context)
        told = [(event.type, "401" in event.data["reason"]) for event in context.state.outbox]
        assert told == [("visionloop.inbound.failed", True)]
        [problem] = context.state.inbound[0].problems
        assert (problem.code, problem.place) == ("inbound-failed", "job 14")
        assert "403" in problem.found
        house.work(FakeCvat(documents()))
        InboundStage().step(context)
        assert context.state.inbound == []

    def test_it_is_among_the_problems(self, house: House, context: LoopContext) -> None:
        house.send(done())
        house.work(FakeCvat(UpstreamRefused("CVAT answered 401")))
        InboundStage().step(context)
        house.cloud.system.write("state/cards.json", context.state.model_dump_json().encode())
        states = StateStore(house.cloud.system, house.cloud.clock)
        shown = Status(states, Timeline(house.cloud.system), house.cloud.clock).loop("cards")["problems"]
        report = ProblemReports(states, house.cloud.system).report("cards", {})
        assert [p["code"] for p in shown] == [p["code"] for p in report["problems"]] == ["inbound-failed"]
