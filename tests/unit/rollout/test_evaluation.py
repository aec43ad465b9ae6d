from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.cloud.fakes import FakeBlobStore, FakeCloud
from services.context import LoopContext
from services.datasets.reading import HoldoutImage
from services.errors import Upstream, UpstreamRefused
from services.rollout import evaluation as module
from services.rollout.answers import Found
from services.rollout.evaluation import BATCH_BYTES, BATCH_IMAGES, PART_IMAGES, Answer, Evaluation, Target, _batches
from tests.support.stages import LOOP, state


@pytest.fixture(autouse=True)
def _none_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMED_IMAGES", 0)


TARGET = Target("green", "https://nuts.example/score", "vl-nuts:7", "image_classification")


def images(count: int) -> list[HoldoutImage]:
    return [HoldoutImage(f"{LOOP}/images/{n:04d}.jpg", 100, 100, ()) for n in range(count)]


def fake(count: int, size: int = 10) -> FakeCloud:
    made = FakeCloud()
    for image in images(count):
        made.data.write(image.blob, image.blob.encode().ljust(size))
    made.scorer.answer = lambda _slot, _image: {"probs": [0.9, 0.1], "labels": ["nut", "bolt"]}
    return made


def evaluation(made: FakeCloud, time_left: Callable[[], float] = lambda: 1e6) -> Evaluation:
    context = LoopContext(made.cloud(), state(), lambda _: None, time_left)
    return Evaluation(context, 3, TARGET).load()


def test_every_image_is_answered_and_kept_in_parts() -> None:
    made = fake(PART_IMAGES * 2 + 5)
    assert evaluation(made).advance(images(PART_IMAGES * 2 + 5))
    parts = [b.name for b in made.system.list("evaluations/")]
    assert parts == [f"evaluations/nuts/run-3/green-7/0000{n}.json" for n in range(3)]
    again = evaluation(made)
    assert len(again.answers) == PART_IMAGES * 2 + 5
    assert again.answers[images(1)[0].blob] == [Found("nut", 0.9), Found("bolt", 0.1)]
    before = len(made.scorer.calls)
    assert again.advance(images(PART_IMAGES * 2 + 5))
    assert len(made.scorer.calls) == before


def test_it_yields_when_the_time_is_nearly_up() -> None:
    made = fake(3 * BATCH_IMAGES)
    left = iter([100.0, 1.0])
    first = evaluation(made, lambda: next(left))
    assert not first.advance(images(3 * BATCH_IMAGES))
    assert len(first.answers) == 2 * BATCH_IMAGES
    assert evaluation(made).advance(images(3 * BATCH_IMAGES))


def test_without_any_time_there_is_a_batch_all_the_same() -> None:
    made = fake(2 * BATCH_IMAGES)
    first = evaluation(made, lambda: -5.0)
    assert not first.advance(images(2 * BATCH_IMAGES))
    assert len(evaluation(made).answers) == BATCH_IMAGES


def test_what_was_answered_before_a_failure_is_kept() -> None:
    made = fake(3 * BATCH_IMAGES)
    answered: list[bytes] = []
    calm = made.scorer.answer

    def answer(slot: str, image: bytes) -> dict[str, object]:
        if len(answered) == 2 * BATCH_IMAGES:
            raise Upstream("gone")
        answered.append(image)
        return calm(slot, image)

    made.scorer.answer = answer
    with pytest.raises(Upstream, match="gone"):
        evaluation(made).advance(images(3 * BATCH_IMAGES))
    assert len(evaluation(made).answers) == 2 * BATCH_IMAGES


def test_one_refused_image_costs_the_others_nothing() -> None:
    made = fake(BATCH_IMAGES)
    calm = made.scorer.answer

    def answer(slot: str, image: bytes) -> dict[str, object]:
        if b"0003" in image:
            raise UpstreamRefused("cannot decode")
        return calm(slot, image)

    made.scorer.answer = answer
    done = evaluation(made)
    assert done.advance(images(BATCH_IMAGES))
    refused = [blob for blob, found in done.answers.items() if found == []]
    assert refused == ["nuts/images/0003.jpg"]
    assert len(done.answers) == BATCH_IMAGES


def test_a_deleted_image_is_answered_by_nothing() -> None:
    made = fake(3)
    made.data.delete("nuts/images/0001.jpg")
    done = evaluation(made)
    assert done.advance(images(3))
    assert done.answers["nuts/images/0001.jpg"] is None
    assert evaluation(made).answers["nuts/images/0001.jpg"] is None


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (10, [8, 8, 4]),
        (BATCH_BYTES // 2, [2] * 10),
        (BATCH_BYTES // 2 + 1, [1] * 20),
        (BATCH_BYTES * 3, [1] * 20),  # larger than a batch: alone, and the slot may say what it thinks of it
    ],
)
def test_requests_are_bounded_by_images_and_bytes(size: int, sizes: list[int]) -> None:
    store = FakeBlobStore()
    for image in images(20):
        store.write(image.blob, b"x" * size)
    gone: dict[str, Answer] = {}
    batches: list[Any] = list(_batches(store, images(20), gone))
    assert [len(b) for b in batches] == sizes
    assert [name for b in batches for name in b] == [i.blob for i in images(20)]
    assert gone == {}


def test_the_first_images_are_asked_for_one_by_one_and_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMED_IMAGES", 10)
    sizes: list[int] = []
    made, ticks = fake(40), iter(range(10**6))
    monkeypatch.setattr(
        "services.rollout.evaluation.time.perf_counter", lambda: next(ticks) ** 2 / 1000
    )  # each takes longer
    score = made.scorer.score
    monkeypatch.setattr(made.scorer, "score", lambda u, s, i, **k: (sizes.append(len(i)), score(u, s, i, **k))[1])
    assert evaluation(made).advance(images(40))
    assert sizes == [*[1] * 10, 8, 8, 8, 6]
    again = evaluation(made)
    assert again.took_ms == [1.0 + 4 * n for n in range(10)]
    assert again.latency_ms == 37.0  # nearest rank: the tenth of ten
    for late in images(44)[40:]:
        made.data.write(late.blob, b"late")
    assert again.advance(images(44))
    assert sizes[-1] == 4
    assert len(evaluation(made).took_ms) == 10


def test_without_a_request_of_one_image_no_latency_is_said() -> None:
    assert evaluation(fake(8)).latency_ms is None
