"""Makes one attempt at one delivery, writes down how it went, and queues the next."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import ValidationError

from services.cloud.ports.storage import BlobStore, Queue
from services.errors import BadRequest, ChangedMeanwhile, NotFound, Upstream
from services.state import Event
from services.webhooks.consent import is_asked_now
from services.webhooks.dispatch import Dispatcher
from services.webhooks.endpoint import Endpoint
from services.webhooks.envelope import cloud_event, payload, sign
from services.webhooks.handshake import ORIGIN, origin_of
from services.webhooks.lanes import Lanes
from services.webhooks.log import Attempt, Delivery, file_of, first
from services.webhooks.message import Message, put
from services.webhooks.pace import Pace
from services.webhooks.receiver import ANSWER_CHARACTERS, GONE, Answer, Sender
from services.webhooks.registry import Registry
from services.webhooks.schedule import LONGEST_SECONDS, pause
from services.webhooks.topic import NEVER, Topic, publish

STORAGE_SECONDS, ASKED_SECONDS = 60.0, 30.0
PATIENCE = timedelta(days=5)
log = logging.getLogger(__name__)


class Deliverer:
    """Works on the delivery queue."""

    def __init__(
        self,
        system: BlobStore,
        registry: Registry,
        queue: Queue,
        sender: Sender,
        clock: Callable[[], datetime],
        public_url: str = "",
        topic: Topic | None = None,
    ) -> None:
        """`sender` and `topic` are what goes to the network, `public_url` is where the schemas of events are."""
        self._topic = topic
        self._system, self._registry, self._queue, self._public_url = system, registry, queue, public_url
        self._sender, self._clock, self._dispatcher = sender, clock, Dispatcher(registry, queue)
        self._origin = origin_of(public_url)
        self._lanes, self._pace = Lanes(), Pace(system, clock)

    def deliver(self, body: str) -> None:
        """Make the attempt that a message asks for; one that was already made is not made again.

        A receiver that is busy, or slow while others are, has the message put back: no attempt is used up.
        Storage that is away for a moment does not use up the few times that a queue message is tried.

        Raises:
            BadRequest: the message is not one of ours.
        """
        try:
            message = Message.model_validate_json(body)
        except ValidationError:
            raise BadRequest("A delivery message has delivery, endpoint, event and attempt") from None
        if wait := self._lanes.enter(message.endpoint):
            self._queue.send(body, delay=wait)
            return
        try:
            self._deliver(message)
        except Upstream as error:
            log.warning("Delivery %s waits for storage: %s", message.delivery, error.detail)
            self._queue.send(body, delay=STORAGE_SECONDS)
        finally:
            self._lanes.leave(message.endpoint)

    def _deliver(self, message: Message) -> None:
        try:
            endpoint = self._registry.get(message.endpoint)
        except NotFound:
            return  # nobody is left who could look at the log
        found = self._read(message)
        event = message.event or (found.content if found else None)
        found = found or (first(message.delivery, message.endpoint, event) if event else None)
        if found is None or event is None or found.state != "pending" or len(found.attempts) >= message.attempt:
            return
        if is_asked_now(endpoint, self._clock()):
            put(self._system, self._queue, message, ASKED_SECONDS)
        elif not endpoint.enabled:
            found.state, found.reason = "failed", f"the webhook is disabled: {endpoint.disabled_reason}"
            found.next_attempt = None
            self._write(found)
        elif wait := self._wait(message, endpoint):
            later = message.model_copy(update={"paced": not message.paced})
            put(self._system, self._queue, later, min(wait, LONGEST_SECONDS))
        else:
            self._attempt(message, endpoint, found, event)

    def _wait(self, message: Message, endpoint: Endpoint) -> float:
        """Seconds until a receiver may be asked that agreed to a rate, or that said Retry-After since."""
        if not endpoint.handshake:
            return 0.0
        return self._pace.held(endpoint.id) if message.paced else self._pace.reserve(endpoint.id, endpoint.per_minute)

    def _attempt(self, message: Message, endpoint: Endpoint, found: Delivery, event: Event) -> None:
        """What came of it is written before anything else: noting it again would ask the receiver again."""
        now = self._clock()
        answer = self._send(found.id, event, endpoint, now)
        said = answer.body[:ANSWER_CHARACTERS]
        found.attempts.append(Attempt(number=message.attempt, time=now, status=answer.status, answer=said))
        found.next_attempt = None
        self._outcome(message, endpoint, found, answer)
        self._write(found)
        log.info("Delivery %s, attempt %s: %s (%s)", found.id, message.attempt, answer.status, found.state)
        if endpoint.handshake and answer.retry_after:
            self._pace.hold(endpoint.id, min(answer.retry_after, LONGEST_SECONDS))
        if endpoint.kind == "webhook":
            with suppress(ChangedMeanwhile, NotFound):  # many attempts find out the same, and the next one does again
                self._note(endpoint, answer, now)

    def _outcome(self, message: Message, endpoint: Endpoint, found: Delivery, answer: Answer) -> None:
        if 200 <= answer.status < 300:
            found.state = "delivered"
        elif endpoint.kind == "event_grid" and answer.status in NEVER:
            found.state, found.reason = "failed", f"the topic does not take it: {answer.status}"
        elif endpoint.kind == "webhook" and answer.status == GONE:
            found.state, found.reason = "failed", "the receiver answered 410 Gone"
        else:
            self._again(message, found, answer)

    def _note(self, endpoint: Endpoint, answer: Answer, now: datetime) -> None:
        """What it means for the receiver. A topic is never disabled: it is there as long as the settings name it."""
        if 200 <= answer.status < 300:
            if endpoint.failing_since is not None:
                self._registry.failing(endpoint, None)
        elif answer.status == GONE:
            self._registry.disable(endpoint.id, "it answered 410 Gone", endpoint)
        else:
            self._failed(endpoint, now)

    def _send(self, delivery: str, event: Event, endpoint: Endpoint, now: datetime) -> Answer:
        if endpoint.kind == "event_grid":
            if self._topic is None:
                return Answer(0, "not sent: no topic is set")
            return publish(self._topic, cloud_event(event, self._public_url))
        body = payload(event, self._public_url)
        headers = sign(endpoint.signing(now), delivery, now, body)
        if endpoint.handshake:
            headers[ORIGIN] = self._origin
        return self._sender(endpoint.url, headers, body)

    def _again(self, message: Message, found: Delivery, answer: Answer) -> None:
        """Queue the next attempt before this one is written down: dying between the two repeats one, and loses none."""
        wait = pause(message.attempt - found.before_replay, answer.retry_after, random.random())
        if wait is None:
            found.state, found.reason = "failed", f"{message.attempt} attempts failed"
            return
        found.next_attempt = self._clock() + timedelta(seconds=wait)
        following = message.model_copy(update={"attempt": message.attempt + 1, "paced": False})
        put(self._system, self._queue, following, wait)

    def _failed(self, endpoint: Endpoint, now: datetime) -> None:
        """A receiver that has only failed for days is told nothing more; the others hear of it, before it is."""
        since = endpoint.failing_since
        if since is None:
            self._registry.failing(endpoint, now)
        elif now - since >= PATIENCE and self._registry.get(endpoint.id).failing_since == since:
            reason = f"every delivery has failed since {since:%Y-%m-%d %H:%M} UTC"
            self._dispatcher.dispatch([_disabled(endpoint, reason, since, now)], but=endpoint.id)
            self._registry.disable(endpoint.id, reason, endpoint)

    def _write(self, found: Delivery) -> None:
        self._system.write(file_of(found.endpoint, found.id), found.model_dump_json().encode())

    def _read(self, message: Message) -> Delivery | None:
        try:
            return Delivery.model_validate_json(self._system.read(file_of(message.endpoint, message.delivery)).data)
        except NotFound:
            return None


def _disabled(endpoint: Endpoint, reason: str, since: datetime, now: datetime) -> Event:
    """One for each time that it is given up, however many attempts find that out."""
    told = {"loop": "", "webhook": endpoint.id, "url": endpoint.url}
    return Event(
        id=f"disabled-{endpoint.id}-{int(since.timestamp())}",
        source="/visionloop",
        type="visionloop.webhook.disabled",
        subject="visionloop",
        time=now,
        data={**told, "reason": f"The webhook {endpoint.url} is disabled: {reason}"},
    )
