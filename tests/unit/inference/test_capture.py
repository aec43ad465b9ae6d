"""What is kept for people to label: only doubt, only so much, never on the way of an answer, never as a label."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from services.catalogue.paths import class_folder, kind_of
from services.cloud.fakes import FakeBlobStore, FakeCloud
from services.decisions.capture import doubt
from services.errors import Upstream
from services.hints import loop_of_storage_event
from services.inference.answer import Box, Prediction
from services.inference.capture import MOST_WAITING, Capturer
from services.inference.image import Picture
from services.loop_config import Capture
from tests.support.predictions import champion, jpeg, picture
from tests.support.timing import held, tried_again

ON = Capture(share=1)
BOX = Box(x1=0, y1=0, x2=1, y2=1)


def predicted(*scores: float, label: str = "ace") -> list[Prediction]:
    return [Prediction(label=label, score=score, box=BOX, normalized_box=BOX) for score in scores]


class World:
    def __init__(self, dice: float = 0.0) -> None:
        self.cloud = FakeCloud()
        stores = (self.cloud.data, self.cloud.system)
        self.capturer = Capturer(lambda: stores, self.cloud.clock, lambda: dice)

    def offer(self, data: bytes = b"", policy: Capture = ON, *scores: float) -> bool:
        shown = Picture(data or jpeg(40, 30), 40, 30)
        taken = self.capturer.offer("cards", policy, champion(), shown, predicted(*(scores or (0.4,))))
        self.capturer.drain()
        return taken

    def names(self, store: FakeBlobStore) -> list[str]:
        return [blob.name for blob in store.list()]


def test_image_and_suggestion_are_kept_where_neither_is_a_label() -> None:
    w = World()
    assert w.offer()
    [image], [suggestion] = w.names(w.cloud.data), w.names(w.cloud.system)
    assert image.startswith("cards/images/captured/2026-01-01/")
    path = image.removeprefix("cards/")
    assert (kind_of(path, 99), class_folder(path)) == ("image", "")
    assert suggestion.startswith("suggestions/cards/captured/2026-01-01/12-")
    found = json.loads(w.cloud.system.read(suggestion).data)
    assert found["image"] == path
    assert found["predictions"][0]["normalized_box"] == {"x1": 0, "y1": 0, "x2": 1, "y2": 1}
    assert found["model"] == {"name": "vl-cards", "version": "1"}
    assert "0.40" in found["reason"]


def test_what_is_kept_wakes_nobody_and_its_label_does() -> None:
    def woken(name: str) -> str | None:
        subject = f"/blobServices/default/containers/visionloop-data/blobs/{name}"
        return loop_of_storage_event("Microsoft.Storage.BlobCreated", subject, {"api": "PutBlob"}, "visionloop-data")

    assert woken("cards/images/captured/2026-01-01/abc.jpg") is None
    assert woken("cards/images/abc.jpg") == woken("cards/labels/captured/abc.json") == "cards"


@pytest.mark.parametrize(
    ("policy", "scores"),
    [(Capture(), (0.4,)), (ON, (0.9,)), (ON, (0.05, 0.1)), (Capture(share=1, classes=["king"]), (0.4,))],
    ids=["off", "sure", "noise", "another class"],
)
def test_nothing_else_is_kept(policy: Capture, scores: tuple[float, ...]) -> None:
    w = World()
    assert not w.offer(b"", policy, *scores)
    assert w.names(w.cloud.data) == w.names(w.cloud.system) == []


@pytest.mark.parametrize(("dice", "taken"), [(0.0, True), (0.09, True), (0.1, False), (0.9, False)])
def test_a_share_is_kept(dice: float, taken: bool) -> None:
    assert World(dice).offer(b"", Capture(share=0.1)) is taken


def test_the_caps_hold_over_processes_and_open_with_time() -> None:
    w, other = World(), World()
    other.cloud = w.cloud
    other.capturer = Capturer(lambda: (w.cloud.data, w.cloud.system), w.cloud.clock, lambda: 0.0)
    policy = Capture(share=1, per_hour=3, per_day=5)
    for number in range(10):
        (w, other)[number % 2].offer(jpeg(40 + number, 30), policy)
    assert len(w.names(w.cloud.data)) == 3
    w.cloud.clock.advance(3600)
    for number in range(10):
        w.offer(jpeg(60 + number, 30), policy)
    assert len(w.names(w.cloud.data)) == 5
    w.cloud.clock.advance(24 * 3600)
    w.offer(jpeg(90, 30), policy)
    assert len(w.names(w.cloud.data)) == 6


def test_the_same_image_is_kept_once_a_day() -> None:
    w = World()
    for _ in range(3):
        w.offer()
    assert len(w.names(w.cloud.data)) == len(w.names(w.cloud.system)) == 1


@pytest.mark.parametrize(("kind", "ending"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp")])
def test_an_image_is_named_after_its_kind(kind: str, ending: str) -> None:
    w = World()
    w.offer(picture(40, 30, kind))
    assert w.names(w.cloud.data)[0].endswith(f".{ending}")


@tried_again
def test_storage_that_fails_or_hangs_costs_an_answer_nothing() -> None:
    go = threading.Event()

    def stores() -> Any:
        go.wait(60)
        raise Upstream("storage is away")

    capturer = Capturer(stores, FakeCloud().clock, lambda: 0.0)
    shown, longest = Picture(b"x", 1, 1), 0.0
    taken = 0
    for _ in range(50):
        began = time.perf_counter()
        taken += capturer.offer("cards", ON, champion(), shown, predicted(0.4))
        longest = max(longest, time.perf_counter() - began)
    assert taken <= MOST_WAITING + 1
    go.set()
    capturer.drain()
    assert capturer._thread is not None
    assert capturer._thread.is_alive()
    held(longest, 0.1)


class TestDoubt:
    @pytest.mark.parametrize(
        ("scores", "unsure"), [((0.2,), True), ((0.59,), True), ((0.6,), False), ((0.19,), False), ((0.9, 0.3), True)]
    )
    def test_a_box_is_in_doubt_between_noise_and_certainty(self, scores: tuple[float, ...], unsure: bool) -> None:
        assert bool(doubt(ON, "object_detection", [("ace", score) for score in scores])) is unsure

    @pytest.mark.parametrize(("best", "next_", "unsure"), [(0.5, 0.4, True), (0.65, 0.4, False), (0.9, 0.1, False)])
    def test_one_class_is_in_doubt_where_another_is_close(self, best: float, next_: float, unsure: bool) -> None:
        assert bool(doubt(ON, "image_classification", [("a", best), ("b", next_)])) is unsure

    def test_a_single_class_has_no_rival(self) -> None:
        assert doubt(ON, "image_classification", [("a", 0.1)]) == ""
        assert doubt(ON, "image_classification", []) == ""

    @pytest.mark.parametrize(("score", "unsure"), [(0.31, True), (0.69, True), (0.29, False), (0.71, False)])
    def test_of_several_classes_one_near_the_middle_is(self, score: float, unsure: bool) -> None:
        assert bool(doubt(ON, "image_classification_multilabel", [("a", 0.99), ("b", score)])) is unsure

    def test_only_classes_that_are_meant_count(self) -> None:
        policy = Capture(share=1, classes=["b"])
        assert doubt(policy, "image_classification", [("a", 0.5), ("b", 0.45)])
        assert not doubt(policy, "image_classification", [("a", 0.5), ("c", 0.45)])
