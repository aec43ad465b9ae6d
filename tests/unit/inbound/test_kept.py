"""What is kept and not worked off is worked on again, and told: whatever died, wherever it died."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.context import LoopContext
from services.errors import NotFound, UpstreamBusy, UpstreamRefused
from services.inbound.kept import GRACE, MOST_AGAIN
from services.inbound.receive import MOST_AT_ONCE
from services.inbound.stage import InboundStage
from services.state import LoopState
from tests.unit.inbound import test_cvat as of_cvat
from tests.unit.inbound import test_label_studio as of_studio
from tests.unit.inbound.test_cvat import FakeCvat, done
from tests.unit.inbound.test_cvat_job import documents
from tests.unit.inbound.test_label_studio import annotation, deletion, message
from tests.unit.inbound.test_label_studio_many import bulk


class Killed(BaseException):
    """A process that died."""


class World:
    """A loop that Label Studio and CVAT send to, and its timer."""

    def __init__(self) -> None:
        self.studio = of_studio.House()
        self.cloud, self.queue = self.studio.cloud, self.studio.queue

    def killed(self, at: int, act: Callable[[], object]) -> bool:
        """Whether a process that is to die at its call of this number came to it."""
        left = [at]

        def hook(_: str) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Killed

        self.cloud.on_call = hook
        try:
            act()
        except Killed:
            return True
        finally:
            self.cloud.on_call = lambda _: None
        return False

    def pass_(self, time: timedelta) -> None:
        self.cloud.clock.advance(time.total_seconds() + 1)

    def look(self) -> None:
        self.studio.worker().look_again()


@pytest.fixture
def world() -> World:
    return World()


def test_a_message_that_went_to_the_poison_queue_is_tried_again_and_told(world: World) -> None:
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    for _ in range(5):
        [(body, _)] = world.queue.sent
        assert world.killed(12, lambda body=body: world.studio.worker().work(body))  # type: ignore[misc]
    world.queue.sent.clear()  # the host has put it into the poison queue
    world.look()
    assert (world.queue.sent, world.studio.notes()) == ([], []), "another attempt may be under way"
    world.pass_(GRACE)
    world.look()
    [told] = world.studio.notes()
    assert "5 attempts" in told
    assert world.studio.work() == []
    assert len(world.cloud.data.blobs) == MOST_AT_ONCE + 1
    assert (world.studio.notes(), world.studio.bodies()) == ([], [])


def test_what_was_kept_and_never_queued_is_queued_in_silence(world: World) -> None:
    def lost(call: str) -> None:
        if call == "before:queue.send":
            raise Killed

    world.queue.on_call = lost
    with pytest.raises(Killed):
        world.studio.send(bulk(MOST_AT_ONCE + 1))
    world.queue.on_call = lambda _: None
    world.pass_(GRACE)
    world.look()
    assert world.studio.notes() == []
    world.studio.work()
    assert len(world.cloud.data.blobs) == MOST_AT_ONCE + 1
    assert world.studio.bodies() == []


def test_a_queue_that_loses_its_messages_again_and_again_is_told(world: World) -> None:
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    for told in (0, 1, 1):
        world.queue.sent.clear()
        world.pass_(GRACE * 4)
        world.look()
        assert len(world.studio.notes()) == told
    assert world.studio.work() == []
    assert (world.studio.notes(), world.studio.bodies()) == ([], [])


def test_it_is_told_as_an_event_once_and_is_a_problem_until_it_worked(world: World) -> None:
    context = LoopContext(
        world.cloud.cloud(), LoopState(loop="cards", created=world.cloud.clock()), lambda _: None, lambda: 100.0
    )
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    for _ in range(3):
        world.queue.sent.clear()
        world.pass_(GRACE * 8)
        world.look()
        InboundStage().step(context)
    assert [event.type for event in context.state.outbox] == ["visionloop.inbound.failed"]
    [problem] = context.state.inbound[0].problems
    assert (problem.code, problem.file) == ("inbound-failed", "labels/label-studio/")
    assert world.cloud.wakes.sent, "the loop is woken, so that it is told now"
    world.studio.work()
    InboundStage().step(context)
    assert context.state.inbound == []


def test_it_is_tried_for_days_at_growing_distances_and_then_given_up(world: World) -> None:
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    begun, tries = world.cloud.clock(), list[timedelta]()
    while world.studio.bodies() and world.cloud.clock() - begun < timedelta(days=30):
        world.queue.sent.clear()
        world.look()
        tries += [world.cloud.clock() - begun] if world.queue.sent else []
        world.pass_(timedelta(minutes=5))
    assert len(tries) == MOST_AGAIN
    assert timedelta(days=5) < tries[-1] < timedelta(days=8)
    [told] = world.studio.notes()
    assert "not tried again" in told
    world.studio.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert world.studio.notes() == [], "as of other messages that could not be taken"


def test_an_annotation_is_taken_wherever_the_process_died_at_it() -> None:
    """Label Studio sends once: a label that is half written when the process dies would be lost, or half of it."""
    created = message("ANNOTATION_CREATED", annotation(17, 5, "ace"))
    for at in range(100):
        world = World()
        was_killed = world.killed(at, lambda world=world: world.studio.send(created))  # type: ignore[misc]
        if was_killed and not world.studio.bodies():
            assert at < 3 or world.studio.classes() == ["ace"], "it may be lost only before it is kept"
            continue
        world.pass_(GRACE)
        world.look()
        assert world.studio.work() == []
        assert (world.studio.classes(), world.studio.bodies(), world.studio.notes()) == (["ace"], [], [])
        if not was_killed:
            assert at > 8
            return
    raise AssertionError("it never came through")


def test_a_worker_may_die_at_any_call_and_a_timer_too() -> None:
    for at in range(400):
        world = World()
        world.studio.send(bulk(MOST_AT_ONCE + 1))
        [(body, _)] = world.queue.sent
        world.queue.sent.clear()
        was_killed = world.killed(at, lambda world=world, body=body: world.studio.worker().work(body))  # type: ignore[misc]
        world.pass_(GRACE)
        world.killed(at % 7, world.look)
        world.pass_(GRACE * 4)
        world.look()
        world.studio.work()
        assert len(world.cloud.data.blobs) == MOST_AT_ONCE + 1
        assert world.studio.bodies() == []
        if not was_killed:
            assert at > 20
            return
    raise AssertionError("it never came through")


def test_an_old_message_that_is_worked_on_late_writes_over_nothing_newer(world: World) -> None:
    old = message("ANNOTATION_CREATED", annotation(17, 1, "ace"))
    assert world.killed(4, lambda: world.studio.send(old))
    world.studio.send(message("ANNOTATION_UPDATED", annotation(17, 5, "jack")))
    world.pass_(GRACE)
    world.look()
    world.studio.work()
    assert world.studio.classes() == ["jack"]


def test_an_old_creation_brings_nothing_back_that_was_deleted_meanwhile(world: World) -> None:
    assert world.killed(4, lambda: world.studio.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace"))))
    world.studio.send(deletion(17))
    world.pass_(GRACE)
    world.look()
    world.studio.work()
    assert (world.studio.label(), world.studio.bodies()) == (None, [])


def test_what_is_being_worked_on_is_not_queued_a_second_time(world: World) -> None:
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    world.pass_(GRACE / 2)
    looked = list[Any]()

    def hook(call: str) -> None:
        if call == "before:blob.delete" and not looked:
            world.pass_(GRACE / 2)
            looked.append(world.look())

    world.cloud.on_call = hook
    world.studio.work()
    assert looked
    assert (world.queue.sent, world.studio.bodies()) == ([], [])


def test_the_same_message_once_more_begins_anew(world: World) -> None:
    for _ in range(2):
        world.studio.send(bulk(MOST_AT_ONCE + 1))
        world.queue.sent.clear()
        world.pass_(GRACE)
        world.look()
        assert (len(world.queue.sent), world.studio.notes()) == (1, [])


def test_of_a_removed_source_nothing_is_left(world: World) -> None:
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    [(body, _)] = world.queue.sent
    world.killed(12, lambda: world.studio.worker().work(body))
    world.studio.sources.remove(world.studio.id)
    assert world.studio.bodies() == []
    world.look()
    assert world.studio.work() == []


@pytest.mark.parametrize("content", [b"{", b'{"action": "ANNOTATION_CREATED"}'])
def test_what_cannot_be_read_any_more_is_told_and_kept_no_longer(world: World, content: bytes) -> None:
    world.studio.send(bulk(MOST_AT_ONCE + 1))
    [name] = world.studio.bodies()
    world.cloud.system.write(name, content)
    world.studio.work()
    assert world.studio.bodies() == []
    assert len(world.studio.notes()) == 1


class TestCvat:
    """A job that waits for CVAT is asked for by the schedule, and by the timer only where that was lost."""

    @pytest.fixture
    def house(self) -> of_cvat.House:
        return of_cvat.House()

    @pytest.fixture
    def look(self, house: of_cvat.House) -> Callable[[], None]:
        return lambda: house.worker().look_again()

    def test_an_attempt_that_is_queued_for_later_is_waited_for(
        self, house: of_cvat.House, look: Callable[[], None]
    ) -> None:
        house.send(done())
        away = FakeCvat(UpstreamBusy("CVAT answered 503", retry_after=5 * 24 * 3600.0))
        assert house.work(away) == [5 * 24 * 3600.0]
        for _ in range(5):
            house.cloud.clock.advance(24 * 3600)
            look()
            assert len(house.queue.sent) == 1
        house.cloud.clock.advance(GRACE.total_seconds())
        look()
        attempts = [json.loads(body)["attempt"] for body, _ in house.queue.sent]
        assert attempts == [2, 2], "it was lost, and goes on where it was"
        house.work(FakeCvat(documents()))
        assert (house.bodies(), house.notes()) == ([], [])

    def test_a_worker_that_always_dies_is_told(self, house: of_cvat.House, look: Callable[[], None]) -> None:
        house.send(done())
        [(body, _)] = house.queue.sent
        house.queue.sent.clear()
        with pytest.raises(MemoryError):
            house.worker(FakeCvat(MemoryError())).work(body)
        house.cloud.clock.advance(GRACE.total_seconds() + 1)
        look()
        [told] = house.notes()
        assert "job 14" in told
        house.work(FakeCvat(documents()))
        assert (house.bodies(), house.notes(), house.files()) == ([], [], of_cvat.FILES)

    def test_it_may_die_at_any_call(self) -> None:
        for at in range(400):
            house, left = of_cvat.House(), [at]

            def hook(_: str, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == -1:
                    raise Killed

            house.send(done())
            [(body, _)] = house.queue.sent
            house.queue.sent.clear()
            house.cloud.on_call = hook
            was_killed = False
            try:
                house.worker(FakeCvat(documents())).work(body)
            except Killed:
                was_killed = True
            house.cloud.on_call = lambda _: None
            house.cloud.clock.advance(GRACE.total_seconds() + 1)
            house.worker().look_again()
            house.work(FakeCvat(documents()))
            assert (house.files(), house.bodies(), house.notes()) == (of_cvat.FILES, [], [])
            if not was_killed:
                assert at > 10
                return
        raise AssertionError("it never came through")

    def test_a_refusal_for_good_leaves_nothing_to_be_looked_at(
        self, house: of_cvat.House, look: Callable[[], None]
    ) -> None:
        house.send(done())
        refused = FakeCvat(UpstreamRefused("no"))
        for _ in range(10):
            house.work(refused)
        assert (house.queue.sent, house.bodies(), len(house.notes())) == ([], [], 1)
        house.cloud.clock.advance(30 * 24 * 3600)
        look()
        assert house.queue.sent == []

    def test_a_source_that_goes_while_it_is_looked_at_is_nothing(
        self, house: of_cvat.House, look: Callable[[], None]
    ) -> None:
        house.send(done())
        house.queue.sent.clear()
        house.cloud.clock.advance(GRACE.total_seconds() + 1)

        def hook(call: str) -> None:
            if call == "after:blob.list":
                house.cloud.on_call = lambda _: None
                house.sources.remove(house.id)

        house.cloud.on_call = hook
        look()
        house.work(FakeCvat(NotFound("nobody is asked")))
        assert (house.files(), house.bodies(), house.notes()) == ([], [], [])
