"""Predictions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from services import wiring
from services.settings import PREDICTION_QUEUE

if TYPE_CHECKING:
    from services.inference.activity import Activity
    from services.inference.capture import Capturer
    from services.inference.champion import Champions
    from services.inference.fetch import ImageFetcher
    from services.inference.gate import Gate
    from services.inference.later import Later
    from services.inference.open_inference import OpenInference
    from services.inference.predict import Predictor
    from services.inference.retention import Retention


@cache
def activity() -> Activity:
    """When loops were asked for predictions last."""
    from services.inference.activity import Activity
    from services.inference.notes import NoteWriter

    return Activity(
        NoteWriter(wiring.settings()),
        lambda loop: wiring.waker().wake(loop, "a prediction came while nobody was there to answer"),
    )


@cache
def predictor() -> Predictor:
    """Answers predictions, without an SDK."""
    from services.inference.notes import NoteWriter
    from services.inference.predict import Predictor
    from services.inference.record import Recorder

    recorder = Recorder(NoteWriter(wiring.settings()))
    return Predictor(
        wiring.champions(),
        wiring.async_scorer(),
        wiring.settings(),
        recorder,
        wiring.image_fetcher(),
        capturer=wiring.capturer(),
        missed=wiring.activity().missed,
    )


@cache
def champions() -> Champions:
    """Who is live."""
    from services.inference.champion import Champions, StateReader

    return Champions(StateReader(wiring.settings()), on_use=wiring.activity().note)


@cache
def open_inference() -> OpenInference:
    """Answers in the Open Inference Protocol."""
    from services.inference.open_inference import OpenInference

    return OpenInference(wiring.champions(), wiring.predictor(), wiring.settings())


@cache
def image_fetcher() -> ImageFetcher:
    """Gets images from addresses that callers name."""
    from services.inference.fetch import ImageFetcher

    return ImageFetcher(wiring.webhook_guard(), wiring.settings().max_image_bytes)


@cache
def capturer() -> Capturer:
    """Keeps images that the model was unsure about."""
    from services.inference.capture import Capturer

    return Capturer(lambda: (wiring.data_store(), wiring.system_store()), wiring.clock)


@cache
def retention() -> Retention:
    """Deletes captured images that nobody has labelled."""
    from services.inference.retention import Retention

    return Retention(wiring.data_store(), wiring.system_store(), wiring.states(), wiring.clock)


@cache
def later() -> Later:
    """Makes predictions that nobody waits for."""
    from services.cloud.queues import AzureQueue
    from services.inference.later import Later

    queue = AzureQueue(wiring.settings().system_queue_uri, PREDICTION_QUEUE)
    return Later(
        wiring.system_store(),
        queue,
        wiring.predictor(),
        (wiring.webhooks(), wiring.dispatcher()),
        wiring.settings(),
        wiring.clock,
    )


@cache
def gate() -> Gate:
    """Limits the predictions under way."""
    from services.inference.gate import Gate

    return Gate(wiring.settings().predict_concurrency)
