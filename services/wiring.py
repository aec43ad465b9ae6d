"""Wires the process once, at the edge. Nothing is built, or imported, before something asks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from services.settings import DELIVERY_QUEUE, PREDICTION_QUEUE, WAKE_QUEUE
from services.settings import settings as settings  # noqa: PLC0414  # part of the wiring, for triggers

if TYPE_CHECKING:
    from services.access.console import KeyConsole
    from services.access.door import Door
    from services.approvals import Approvals
    from services.cloud.blobs import AzureBlobStore
    from services.cloud.queues import AzureQueue
    from services.cloud.scoring import EndpointScorer
    from services.context import Cloud
    from services.controller import Controller
    from services.controls import Controls
    from services.datasets.documents import Datasets
    from services.export.exports import Exports
    from services.inbound.receive import Inbound
    from services.inbound.sources import Sources
    from services.inbound.suggest import Suggestions
    from services.inference.activity import Activity
    from services.inference.capture import Capturer
    from services.inference.champion import Champions
    from services.inference.fetch import ImageFetcher
    from services.inference.gate import Gate
    from services.inference.later import Later
    from services.inference.open_inference import OpenInference
    from services.inference.predict import Predictor
    from services.inference.retention import Retention
    from services.rollout_controls import RolloutControls
    from services.state_store import StateStore
    from services.status.cards import Cards
    from services.status.documents import Status
    from services.status.problems import ProblemReports
    from services.status.runs import Runs
    from services.sweep import Sweeper
    from services.timeline import Timeline
    from services.wake import Waker
    from services.webhooks.console import Console
    from services.webhooks.deliver import Deliverer
    from services.webhooks.dispatch import Dispatcher
    from services.webhooks.guard import Guard
    from services.webhooks.registry import Registry
    from services.webhooks.replay import Replay


def clock() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@cache
def data_store() -> AzureBlobStore:
    """The container that users write."""
    from services.cloud.blobs import AzureBlobStore

    return AzureBlobStore(settings().data_blob_uri, settings().data_container)


@cache
def system_store() -> AzureBlobStore:
    """The container that only we write."""
    from services.cloud.blobs import AzureBlobStore

    return AzureBlobStore(settings().system_blob_uri, settings().system_container)


@cache
def scorer() -> EndpointScorer:
    """Calls slots of endpoints."""
    from services.cloud.scoring import EndpointScorer

    return EndpointScorer()


@cache
def cloud() -> Cloud:
    """The outside world of the controller."""
    from services.cloud.ml import AzureWorkspace
    from services.context import Cloud

    return Cloud(settings(), data_store(), system_store(), AzureWorkspace(settings()), scorer(), clock)


@cache
def waker() -> Waker:
    """Puts wakes on the queue."""
    from services.cloud.queues import AzureQueue
    from services.wake import Waker

    queue = AzureQueue(settings().system_queue_uri, WAKE_QUEUE)
    return Waker(queue, clock, settings().wake_delay_seconds)


@cache
def timeline() -> Timeline:
    """What happened, and why."""
    from services.timeline import Timeline

    return Timeline(system_store())


@cache
def states() -> StateStore:
    """Where every loop stands."""
    from services.state_store import StateStore

    return StateStore(system_store(), clock)


@cache
def dispatcher() -> Dispatcher:
    """Hands events to webhooks."""
    from services.webhooks.dispatch import Dispatcher

    return Dispatcher(webhooks(), delivery_queue())


@cache
def delivery_queue() -> AzureQueue:
    """The queue of webhook deliveries."""
    from services.cloud.queues import AzureQueue

    return AzureQueue(settings().system_queue_uri, DELIVERY_QUEUE)


@cache
def webhooks() -> Registry:
    """Who is told of what."""
    from services.webhooks.registry import Registry

    return Registry(system_store(), clock, webhook_guard())


@cache
def webhook_guard() -> Guard:
    """Where deliveries may go."""
    from services.webhooks.guard import Guard

    return Guard(allow_local=settings().allow_local_webhooks)


@cache
def webhook_console() -> Console:
    """What people do with webhooks."""
    from services.webhooks.console import Console

    return Console(system_store(), webhooks(), dispatcher(), clock)


@cache
def webhook_replay() -> Replay:
    """Sends events again."""
    from services.webhooks.replay import Replay

    return Replay(system_store(), webhooks(), delivery_queue(), timeline(), states().loops, clock)


@cache
def deliverer() -> Deliverer:
    """Works on the delivery queue."""
    from services.webhooks.deliver import Deliverer
    from services.webhooks.sender import HttpSender

    return Deliverer(system_store(), webhooks(), delivery_queue(), HttpSender(webhook_guard()), clock)


@cache
def activity() -> Activity:
    """When loops were asked for predictions last."""
    from services.inference.activity import Activity
    from services.inference.notes import NoteWriter

    return Activity(
        NoteWriter(settings()),
        lambda loop: waker().wake(loop, "a prediction came while the endpoint rests"),
    )


@cache
def predictor() -> Predictor:
    """Answers predictions, without an SDK."""
    from services.inference.notes import NoteWriter
    from services.inference.predict import Predictor
    from services.inference.record import Recorder

    recorder = Recorder(NoteWriter(settings()))
    return Predictor(champions(), scorer(), settings(), recorder, image_fetcher(), capturer=capturer())


@cache
def champions() -> Champions:
    """Who is live."""
    from services.inference.champion import Champions, StateReader

    return Champions(StateReader(settings()), on_use=activity().note)


@cache
def open_inference() -> OpenInference:
    """Answers in the Open Inference Protocol."""
    from services.inference.open_inference import OpenInference

    return OpenInference(champions(), predictor(), settings())


@cache
def image_fetcher() -> ImageFetcher:
    """Gets images from addresses that callers name."""
    from services.inference.fetch import ImageFetcher

    return ImageFetcher(webhook_guard(), settings().max_image_bytes)


@cache
def capturer() -> Capturer:
    """Keeps images that the model was unsure about."""
    from services.inference.capture import Capturer

    return Capturer(lambda: (data_store(), system_store()), clock)


@cache
def retention() -> Retention:
    """Deletes captured images that nobody has labelled."""
    from services.inference.retention import Retention

    return Retention(data_store(), system_store(), states(), clock)


@cache
def later() -> Later:
    """Makes predictions that nobody waits for."""
    from services.cloud.queues import AzureQueue
    from services.inference.later import Later

    queue = AzureQueue(settings().system_queue_uri, PREDICTION_QUEUE)
    return Later(system_store(), queue, predictor(), (webhooks(), dispatcher()), settings(), clock)


@cache
def door() -> Door:
    """Who may ask without a function key."""
    from services.access.door import Door
    from services.access.meter import Meter
    from services.access.ring import Ring
    from services.access.usage import Usage
    from services.inference.champion import StateReader

    meter = Meter(lambda: Usage(system_store()), clock)
    return Door(Ring(StateReader(settings())), meter, clock, easy_auth=settings().easy_auth)


@cache
def key_console() -> KeyConsole:
    """What people do with client keys."""
    from services.access.console import KeyConsole
    from services.access.keys import Keys
    from services.access.usage import Usage

    return KeyConsole(Keys(system_store(), clock), Usage(system_store()), states().read, clock)


@cache
def gate() -> Gate:
    """Limits the predictions under way."""
    from services.inference.gate import Gate

    return Gate(settings().predict_concurrency)


@cache
def controls() -> Controls:
    """What people ask of a loop."""
    from services.commands import Commands
    from services.controls import Controls

    return Controls(states(), Commands(system_store()), waker(), clock, settings().machine_prices)


@cache
def rollout_controls() -> RolloutControls:
    """What people ask of a rollout."""
    from services.commands import Commands
    from services.rollout_controls import RolloutControls

    return RolloutControls(states(), Commands(system_store()), waker(), clock)


@cache
def approvals() -> Approvals:
    """The page behind the link of an approval."""
    from services.approvals import Approvals
    from services.commands import Commands

    return Approvals(states(), system_store(), Commands(system_store()), waker(), clock)


@cache
def cards() -> Cards:
    """Model cards."""
    from services.status.cards import Cards

    return Cards(system_store())


@cache
def inbound_sources() -> Sources:
    """Which systems may send."""
    from services.inbound.sources import Sources

    return Sources(system_store(), states(), clock)


@cache
def inbound() -> Inbound:
    """Takes what they send."""
    from services.inbound.receive import Inbound

    return Inbound((data_store(), system_store()), inbound_sources(), settings(), clock)


@cache
def suggestions() -> Suggestions:
    """Suggests labels to Label Studio; nothing is captured of what the loop has already."""
    from services.inbound.suggest import Suggestions
    from services.inference.notes import NoteWriter
    from services.inference.predict import Predictor
    from services.inference.record import Recorder

    predictor = Predictor(champions(), scorer(), settings(), Recorder(NoteWriter(settings())))
    return Suggestions(data_store(), inbound_sources(), predictor, image_fetcher(), settings())


@cache
def status() -> Status:
    """What a person sees."""
    from services.status.documents import Status

    return Status(states(), timeline(), settings().machine_prices)


@cache
def runs() -> Runs:
    """Training runs to look at."""
    from services.status.runs import Runs

    return Runs(states(), system_store())


@cache
def datasets() -> Datasets:
    """Dataset versions to look at."""
    from services.datasets.documents import Datasets

    return Datasets(states(), system_store())


@cache
def exports() -> Exports:
    """Dataset versions in other tools' formats."""
    from services.export.exports import Exports

    return Exports(states(), system_store())


@cache
def problem_reports() -> ProblemReports:
    """Everything that is wrong with uploads."""
    from services.status.problems import ProblemReports

    return ProblemReports(states(), system_store())


@cache
def controller() -> Controller:
    """Looks at one loop at a time."""
    from services.config_stage import ConfigStage
    from services.control_stage import ControlStage
    from services.controller import Controller
    from services.datasets.stage import DatasetStage
    from services.outbox import Outbox
    from services.rollout.idle import IdleStage
    from services.rollout.stage import RolloutStage
    from services.training.stage import TrainingStage

    stages = (ConfigStage(), ControlStage(), DatasetStage(), TrainingStage(), RolloutStage(), IdleStage())
    return Controller(cloud(), stages, waker(), Outbox(timeline(), dispatcher()), states())


@cache
def sweeper() -> Sweeper:
    """Wakes every loop."""
    from services.sweep import Sweeper

    return Sweeper(data_store(), states(), waker())
