"""Secrets change without a gap, and what was missed is sent again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.errors import BadRequest, Conflict, NotFound
from services.state import Event
from services.timeline import Timeline
from services.webhooks import replay
from services.webhooks.dispatch import delivery_id
from services.webhooks.log import LogRetention
from services.webhooks.receiver import Answer
from services.webhooks.registry import OVERLAP
from services.webhooks.replay import LATE, Replay
from tests.unit.webhooks.test_deliver import World


def verified(secret: str, posted: tuple[str, dict[str, str], bytes], world: World) -> bool:
    """Whether a receiver with this secret takes it; the library holds the timestamp against its own clock."""
    _, headers, body = posted
    try:
        Webhook(secret).verify(body, {**headers, "webhook-timestamp": headers["webhook-timestamp"]})
    except WebhookVerificationError:
        return False
    return True


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", _Clock(world))
    return world


class _Clock:
    """The library's idea of now is the test's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self, tz: Any = None) -> Any:
        return self._world.fakes.clock()

    def fromtimestamp(self, seconds: float, tz: Any = None) -> Any:
        from datetime import UTC, datetime

        return datetime.fromtimestamp(seconds, tz or UTC)


def send(world: World, number: int) -> tuple[str, dict[str, str], bytes]:
    world.dispatcher.dispatch([world.event(number)])
    world.deliverer.deliver(world.take()[0])
    return world.posted[-1]


def test_while_a_secret_is_replaced_both_sign(now: World) -> None:
    old = now.endpoint.secret
    new = now.console.rotate(now.endpoint.id)["secret"]
    assert new != old
    posted = send(now, 1)
    assert len(posted[1]["webhook-signature"].split()) == 2
    assert [verified(s, posted, now) for s in (old, new)] == [True, True]
    now.fakes.clock.advance(OVERLAP.total_seconds() + 1)
    posted = send(now, 2)
    assert [verified(s, posted, now) for s in (old, new)] == [False, True]


def test_secrets_are_shown_when_they_are_made_only(now: World) -> None:
    new = now.console.rotate(now.endpoint.id)["secret"]
    shown = json.dumps([now.console.list(), now.console.get(now.endpoint.id), now.console.deliveries(now.endpoint.id)])
    assert new not in shown
    assert now.endpoint.secret not in shown
    assert "whsec_" not in shown


def test_of_two_rotations_at_once_both_secrets_sign(now: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    write = now.fakes.system.write

    def meanwhile(*given: Any, **named: Any) -> str:
        monkeypatch.setattr(now.fakes.system, "write", write)
        made.append(now.console.rotate(now.endpoint.id)["secret"])
        return write(*given, **named)

    monkeypatch.setattr(now.fakes.system, "write", meanwhile)
    made.append(now.console.rotate(now.endpoint.id)["secret"])
    assert {now.endpoint.secret, *made} <= set(now.registry.get(now.endpoint.id).signing(now.fakes.clock()))


def test_endless_rotation_keeps_few_secrets(now: World) -> None:
    for _ in range(10):
        now.console.rotate(now.endpoint.id)
    assert len(now.registry.get(now.endpoint.id).signing(now.fakes.clock())) == 4


def test_a_receiver_is_changed_and_enabled_again(now: World) -> None:
    now.registry.disable(now.endpoint.id, "it answered 410 Gone")
    shown = now.console.update(now.endpoint.id, b'{"enabled": true, "events": ["training.*"], "loops": ["cards"]}')
    assert (shown["enabled"], shown["disabled_reason"], shown["events"]) == (True, "", ["training.*"])
    assert shown["url"] == now.endpoint.url
    assert now.registry.get(now.endpoint.id).secret == now.endpoint.secret


@pytest.mark.parametrize(
    ("body", "where"),
    [(b'{"events": ["trainings.*"]}', "about no event"), (b'{"url": "http://127.0.0.1/x"}', "https"),
     (b'{"secret": "x"}', "secret"), (b"[", "must be JSON")],
)  # fmt: skip
def test_a_wrong_change_changes_nothing(now: World, body: bytes, where: str) -> None:
    with pytest.raises(BadRequest, match=where):
        now.console.update(now.endpoint.id, body)
    assert now.registry.get(now.endpoint.id) == now.endpoint


@pytest.mark.parametrize("act", ["get", "rotate"])
def test_a_receiver_that_is_not_there(now: World, act: str) -> None:
    with pytest.raises(NotFound):
        getattr(now.console, act)("ep_0000000000000000")


class TestReplay:
    @pytest.fixture
    def timeline(self, now: World) -> Timeline:
        return Timeline(now.fakes.system)

    @pytest.fixture
    def again(self, now: World, timeline: Timeline) -> Replay:
        kept = LogRetention(now.fakes.system, 30, now.fakes.clock)
        return Replay(now.fakes.system, now.registry, now.queue, timeline, lambda: ["cards"], now.fakes.clock, kept)

    def told(self, world: World, timeline: Timeline, count: int) -> list[Event]:
        """So many events, an hour apart."""
        found = []
        for number in range(1, count + 1):
            found.append(world.event(number))
            timeline.append(found[-1:])
            world.fakes.clock.advance(3600)
        return found

    def test_a_delivery_goes_out_again_under_its_id_with_its_whole_schedule(self, now: World, again: Replay) -> None:
        first = send(now, 1)
        delivery = first[1]["webhook-id"]
        now.answers = [Answer(500), Answer(204)]
        assert again.one(now.endpoint.id, delivery) == {"delivery": delivery, "event": "cards-1"}
        now.deliverer.deliver(now.take()[0])
        body, delay = now.take()
        assert 5 <= delay <= 6
        now.deliverer.deliver(body)
        assert [p[1]["webhook-id"] for p in now.posted] == [delivery] * 3
        assert [p[2] for p in now.posted] == [first[2]] * 3
        [logged] = now.console.deliveries(now.endpoint.id)["deliveries"]
        assert (logged["state"], [a["status"] for a in logged["attempts"]]) == ("delivered", [204, 500, 204])

    def test_a_message_that_comes_twice_is_one_attempt(self, now: World, again: Replay) -> None:
        delivery = send(now, 1)[1]["webhook-id"]
        again.one(now.endpoint.id, delivery)
        body, _ = now.take()
        now.deliverer.deliver(body)
        now.deliverer.deliver(body)
        assert len(now.posted) == 2

    def test_what_would_never_be_sent_is_refused_with_the_reason(self, now: World, again: Replay) -> None:
        delivery = send(now, 1)[1]["webhook-id"]
        now.registry.disable(now.endpoint.id, "it answered 410 Gone")
        for asked in (
            lambda: now.console.test(now.endpoint.id),
            lambda: again.one(now.endpoint.id, delivery),
            lambda: again.span(now.endpoint.id, b'{"since": "2026-01-01T00:00:00Z"}'),
        ):
            with pytest.raises(Conflict, match=r'it answered 410 Gone.*"enabled": true'):
                asked()
        assert now.queue.sent == []
        now.console.update(now.endpoint.id, b'{"enabled": true}')
        assert now.console.test(now.endpoint.id)["event"].startswith("test-")

    def test_one_that_is_under_way_is_left_to_its_schedule(self, now: World, again: Replay) -> None:
        now.answers = [Answer(500)]
        delivery = send(now, 1)[1]["webhook-id"]
        queued = len(now.queue.sent)
        again.one(now.endpoint.id, delivery)
        assert len(now.queue.sent) == queued

    @pytest.mark.parametrize("lost", ["replay", "attempt"])
    def test_one_whose_message_is_lost_can_be_sent_again(self, now: World, again: Replay, lost: str) -> None:
        """A process that died before it queued what it had written, or five times over the same message."""
        now.answers = [Answer(500)]
        delivery = send(now, 1)[1]["webhook-id"]
        if lost == "replay":
            now.deliverer.deliver(now.take()[0])
            again.one(now.endpoint.id, delivery)
        now.queue.sent.clear()
        now.fakes.clock.advance((LATE + timedelta(minutes=1)).total_seconds())
        again.one(now.endpoint.id, delivery)
        body, _ = now.take()
        for _ in range(2):
            now.deliverer.deliver(body)
        [logged] = now.console.deliveries(now.endpoint.id)["deliveries"]
        assert logged["state"] == "delivered"
        assert len(now.posted) == (3 if lost == "replay" else 2)

    def test_a_time_is_sent_again_with_what_was_never_sent(self, now: World, again: Replay, timeline: Timeline) -> None:
        events = self.told(now, timeline, 4)
        asked = {"since": events[1].time.isoformat(), "until": events[3].time.isoformat()}
        assert len(again.span(now.endpoint.id, json.dumps(asked).encode())["deliveries"]) == 2  # type: ignore[arg-type]
        while now.queue.sent:
            now.deliverer.deliver(now.take()[0])
        assert [json.loads(p[2])["id"] for p in now.posted] == ["cards-2", "cards-3"]

    def test_what_was_delivered_may_be_left_out(self, now: World, again: Replay, timeline: Timeline) -> None:
        start = now.fakes.clock()
        events = self.told(now, timeline, 2)
        now.dispatcher.dispatch(events[:1])
        now.deliverer.deliver(now.take()[0])
        asked = {"since": (start - timedelta(hours=1)).isoformat(), "failed_only": True}
        assert len(again.span(now.endpoint.id, json.dumps(asked).encode())["deliveries"]) == 1  # type: ignore[arg-type]

    def test_too_much_is_refused_and_says_how_much(
        self, now: World, again: Replay, timeline: Timeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replay, "MOST_EVENTS", 2)
        self.told(now, timeline, 3)
        with pytest.raises(BadRequest, match="3 events"):
            again.span(now.endpoint.id, b'{"since": "2025-01-01T00:00:00Z"}')
        assert now.queue.sent == []

    @pytest.mark.parametrize(
        "body",
        [
            b'{"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}',
            b"",
            b"[]",
            b'{"since": "yesterday"}',
            b'{"since": "2026-01-01T00:00:00"}',
            b'{"from": 1}',
        ],
    )
    def test_a_body_that_is_no_time(self, now: World, again: Replay, body: bytes) -> None:
        with pytest.raises(BadRequest, match="such as"):
            again.span(now.endpoint.id, body)

    def test_what_is_forgotten_is_not_sent_as_if_it_had_failed(
        self, now: World, again: Replay, timeline: Timeline
    ) -> None:
        events = self.told(now, timeline, 2)
        now.dispatcher.dispatch(events)
        now.deliverer.deliver(now.take()[0])
        delivered = now.posted[0][1]["webhook-id"]
        now.queue.sent.clear()
        now.fakes.clock.advance(timedelta(days=31).total_seconds())
        assert LogRetention(now.fakes.system, 30, now.fakes.clock).forget() == 1
        fresh = now.event(3)
        timeline.append([fresh])
        with pytest.raises(NotFound, match=r"those whose last attempt was before 20.* UTC are forgotten"):
            again.one(now.endpoint.id, delivered)
        since = {"since": "2025-01-01T00:00:00Z"}
        now.fakes.clock.advance(60)
        answer = again.span(now.endpoint.id, json.dumps({**since, "failed_only": True}).encode())
        assert answer["deliveries"] == [delivery_id(fresh.id, now.endpoint.id)]
        forgotten: Any = answer["forgotten"]
        assert forgotten["events"] == 2
        assert f"before {forgotten['before']} were delivered is no longer kept" in forgotten["says"]
        everything = again.span(now.endpoint.id, json.dumps(since).encode())
        assert len(everything["deliveries"]) == 3  # type: ignore[arg-type]
        assert "forgotten" not in everything

    def test_what_is_older_than_the_webhook_was_never_sent(self, now: World, again: Replay, timeline: Timeline) -> None:
        self.told(now, timeline, 1)
        newer = now.registry.add({"url": "https://newer.example/"})
        now.fakes.clock.advance(timedelta(days=31).total_seconds())
        answer = again.span(newer.id, b'{"since": "2025-01-01T00:00:00Z", "failed_only": true}')
        assert len(answer["deliveries"]) == 1  # type: ignore[arg-type]
        assert "forgotten" not in answer

    @pytest.mark.parametrize("delivery", ["msg_" + "0" * 24, "../../state/cards"])
    def test_a_delivery_that_is_not_there(self, now: World, again: Replay, delivery: str) -> None:
        with pytest.raises(NotFound):
            again.one(now.endpoint.id, delivery)
