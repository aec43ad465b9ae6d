from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.cloud.fakes import FakeAsyncScorer, FakeCloud, fake_settings
from services.errors import (
    BadRequest,
    NoChampion,
    NotFound,
    UnprocessableImage,
    UnsupportedMedia,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    VisionloopError,
)
from services.inference.calls import Calls
from services.inference.capture import Capturer
from services.inference.champion import Champions
from services.inference.predict import BATCH_BYTES, BATCH_IMAGES, Predictor, Reply, Request, batches
from services.inference.record import Recorder
from services.inference.targets import place
from services.loop_config import Capture, LoopConfig
from services.state import LoopState, ModelRef, Rollout
from tests.support.predictions import NOW, jpeg, loop_state, picture
from tests.support.stages import version

KIND = "image/jpeg"


def boxes(*found: tuple[str, float, tuple[float, float, float, float]]) -> dict[str, Any]:
    """Azure ML's answer for one image."""
    names = ("topX", "topY", "bottomX", "bottomY")
    return {"boxes": [{"label": n, "score": s, "box": dict(zip(names, b, strict=True))} for n, s, b in found]}


TWO = boxes(("jack", 0.4, (0.0, 0.0, 0.5, 0.5)), ("ace", 0.9, (0.25, 0.5, 0.75, 1.0)))


def ask(predictor: Predictor, request: Request) -> Reply:
    return asyncio.run(predictor.reply(request))


class World:
    def __init__(self, scored: Any = TWO, state: LoopState | None = None, **settings: Any) -> None:
        self.state = state or loop_state()
        self.slots: list[str] = []
        self.images: list[bytes] = []
        self.raises: list[VisionloopError] = []

        def score(slot: str, image: bytes) -> dict[str, object]:
            self.slots.append(slot)
            self.images.append(image)
            if self.raises:
                raise self.raises.pop(0)
            return scored

        def read(name: str, etag: str) -> tuple[int, str, bytes]:
            return 200, "1", self.state.model_dump_json().encode()

        self.slept: list[float] = []
        calls = Calls(sleep=self.sleep, dice=lambda: 0.5)
        self.predictor = Predictor(
            Champions(read), FakeAsyncScorer(score), fake_settings().model_copy(update=settings), calls=calls
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def reply(self, body: bytes, kind: str = KIND, query: dict[str, str] | None = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.predictor, Request("cards", body, {"content-type": kind, **named}, query or {}))

    def json(self, body: bytes = b"", **query: str) -> dict[str, Any]:
        reply = self.reply(body or jpeg(200, 100), KIND, query)
        assert reply.content_type == "application/json"
        found: dict[str, Any] = json.loads(reply.content)
        return found


def test_the_answer_names_loop_model_slot_and_places() -> None:
    found = World().json()
    timing = found.pop("timing_ms")
    assert set(timing) == {"proxy", "model"}
    assert min(timing.values()) >= 0
    ace = {
        "label": "ace",
        "score": 0.9,
        "box": {"x1": 50.0, "y1": 50.0, "x2": 150.0, "y2": 100.0},
        "normalized_box": {"x1": 0.25, "y1": 0.5, "x2": 0.75, "y2": 1.0},
    }
    assert found.pop("predictions")[0] == ace
    assert found == {
        "loop": "cards",
        "model": {"name": "vl-cards", "version": "1"},
        "slot": "blue",
        "task": "object_detection",
        "image": {"width": 200, "height": 100},
    }


def test_the_most_confident_comes_first_and_a_threshold_cuts() -> None:
    assert [p["label"] for p in World().json()["predictions"]] == ["ace", "jack"]
    assert [p["label"] for p in World().json(threshold="0.5")["predictions"]] == ["ace"]
    assert World().json(threshold="1")["predictions"] == []


@pytest.mark.parametrize(
    "query", [{"threshold": t} for t in ("-0.1", "1.1", "nan", "inf", "x", "0,5")] + [{"render": "gif"}]
)
def test_a_query_that_makes_no_sense_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        World().json(**query)


def test_boxes_are_in_the_frame_that_people_see() -> None:
    world = World()
    found = world.json(picture(200, 100, orientation=6))
    assert found["image"] == {"width": 100, "height": 200}
    assert found["predictions"][0]["box"] == {"x1": 25.0, "y1": 100.0, "x2": 75.0, "y2": 200.0}
    assert Image.open(io.BytesIO(world.images[0])).size == (100, 200)


@pytest.mark.parametrize("task", ["image_classification", "image_classification_multilabel"])
def test_classes_have_no_box(task: str) -> None:
    world = World({"probs": [0.2, 0.8], "labels": ["ace", "jack"]}, loop_state(task=task))
    assert world.json()["predictions"] == [{"label": "jack", "score": 0.8}, {"label": "ace", "score": 0.2}]


@pytest.mark.parametrize(
    "scored",
    [
        {},
        {"boxes": None},
        {"boxes": [{"label": "x"}]},
        {"probs": [1], "labels": ["a"]},
        boxes(("a", float("nan"), (0, 0, 1, 1))),
        {"boxes": "x"},
    ],
)
def test_an_answer_of_another_shape_is_the_upstreams_fault(scored: Any) -> None:
    with pytest.raises(Upstream) as caught:
        World(scored).json()
    assert caught.value.status == 502


@pytest.mark.parametrize(("render", "kind"), [("true", "PNG"), ("png", "PNG"), ("jpeg", "JPEG")])
def test_the_picture_has_the_boxes_drawn(render: str, kind: str) -> None:
    reply = World().reply(picture(800, 400), KIND, {"render": render})
    image = Image.open(io.BytesIO(reply.content))
    assert (image.format, reply.content_type, image.size) == (kind, f"image/{kind.lower()}", (800, 400))
    plain = Image.open(io.BytesIO(picture(800, 400))).convert("RGB")
    edge, inside = (200, 300), (400, 300)

    def differs(place: tuple[int, int]) -> bool:
        drawn, was = image.convert("RGB").getpixel(place), plain.getpixel(place)
        assert isinstance(drawn, tuple)
        assert isinstance(was, tuple)
        return max(abs(a - b) for a, b in zip(drawn, was, strict=True)) > 60

    assert differs(edge)
    assert not differs(inside)


def test_a_large_picture_is_drawn_smaller_and_a_doubtful_box_is_not_drawn() -> None:
    small, none = boxes(("ace", 0.2, (0.1, 0.1, 0.9, 0.9))), boxes()
    drawn = [World(s).reply(picture(3200, 800), KIND, {"render": "true"}).content for s in (small, none)]
    assert Image.open(io.BytesIO(drawn[0])).size == (1600, 400)
    assert drawn[0] == drawn[1]


def test_classes_are_written_on_the_picture() -> None:
    world = World({"probs": [0.9, 0.8], "labels": ["ace", "jack"]}, loop_state(task="image_classification"))
    drawn = world.reply(picture(800, 400), KIND, {"render": "true"}).content
    assert Image.open(io.BytesIO(drawn)).getpixel((5, 8)) != (255, 0, 0)


@pytest.mark.parametrize("place", [(-3.0, -3.0, 9.0, 9.0), (0.9, 0.9, 0.1, 0.1), (2.0, 2.0, 3.0, 3.0)])
def test_a_box_beyond_the_picture_does_not_break_it(place: tuple[float, float, float, float]) -> None:
    reply = World(boxes(("ace", 0.9, place))).reply(jpeg(300, 200), KIND, {"render": "true"})
    assert Image.open(io.BytesIO(reply.content)).size == (300, 200)


class TestErrors:
    def test_without_a_model_it_says_so_before_it_looks_at_the_body(self) -> None:
        world = World(state=loop_state(live=False))
        with pytest.raises(NoChampion):
            world.reply(b"", "", {})

    @pytest.mark.parametrize(
        "error", [UpstreamBusy("busy", retry_after=70), UpstreamTimeout("late"), Upstream("broken")]
    )
    def test_the_slots_errors_reach_the_caller(self, error: VisionloopError) -> None:
        world = World()
        world.raises = [error]
        with pytest.raises(type(error)) as caught:
            world.json()
        assert caught.value is error

    def test_a_slot_that_was_replaced_meanwhile_is_found_again(self) -> None:
        world = World()
        world.json()
        world.state = loop_state(slot="green")
        world.raises = [NotFound("no deployment blue")]
        assert world.json()["slot"] == "green"
        assert world.slots == ["blue", "blue", "green"]

    def test_a_slot_that_stays_away_is_the_upstreams_fault_not_a_missing_loop(self) -> None:
        world = World()
        world.raises = [NotFound("no deployment blue"), NotFound("no deployment blue")]
        with pytest.raises(Upstream, match="no deployment") as caught:
            world.json()
        assert caught.value.status == 502

    def test_a_damaged_image_is_the_callers_fault(self) -> None:
        world = World()
        world.raises = [UpstreamRefused("400")]
        whole = picture(800, 400)
        with pytest.raises(UnprocessableImage):
            world.json(whole[: len(whole) // 2])

    def test_a_whole_image_that_is_refused_is_not(self) -> None:
        world = World()
        world.raises = [UpstreamRefused("400")]
        with pytest.raises(UpstreamRefused):
            world.json()


class TestSeveral:
    def ask(self, world: World, *images: bytes, **query: str) -> Any:
        body = json.dumps({"images": [base64.b64encode(image).decode() for image in images]}).encode()
        return json.loads(world.reply(body, "application/json", query).content)

    def test_several_images_are_answered_by_a_list_in_order(self) -> None:
        found = self.ask(World(), jpeg(200, 100), jpeg(40, 30))
        assert [one["image"] for one in found] == [{"width": 200, "height": 100}, {"width": 40, "height": 30}]
        assert found[1]["predictions"][0]["box"]["x2"] == 30
        assert found[0]["model"] == {"name": "vl-cards", "version": "1"}

    def test_a_list_of_one_is_answered_by_a_list(self) -> None:
        assert len(self.ask(World(), jpeg(40, 30))) == 1

    def test_which_image_is_wrong_is_said(self) -> None:
        with pytest.raises(UnsupportedMedia, match="Image 2 of 2"):
            self.ask(World(), jpeg(40, 30), b"GIF89a")
        world = World()
        world.raises = [UpstreamRefused("400")]
        whole = picture(800, 400)
        with pytest.raises(UnprocessableImage, match="Image 3 of 3"):
            self.ask(world, jpeg(40, 30), jpeg(40, 30), whole[: len(whole) // 2])

    def test_of_a_request_that_is_repeated_only_what_is_missing_is_asked_for(self) -> None:
        """The rest would cost a slot that is busy its work again."""
        images, busy = [jpeg(9 + n, 9) for n in range(2 * BATCH_IMAGES + 1)], [True, False]
        asked: list[bytes] = []

        def score(slot: str, image: bytes) -> dict[str, object]:
            asked.append(image)
            if image == images[BATCH_IMAGES] and busy.pop(0):
                raise UpstreamBusy("503")
            return boxes((str(len(asked)), 0.5, (0.0, 0.0, 1.0, 1.0)))

        world = World(max_request_images=99)
        world.predictor._scorer = FakeAsyncScorer(score)
        found = self.ask(world, *images)
        assert asked == images[: BATCH_IMAGES + 1] + images[BATCH_IMAGES:]
        numbers = [int(one["predictions"][0]["label"]) for one in found]
        assert numbers == [*range(1, BATCH_IMAGES + 1), *range(BATCH_IMAGES + 2, len(images) + 2)]

    def test_after_the_deadline_no_further_images_are_sent(self) -> None:
        sent: list[bytes] = []

        def score(slot: str, image: bytes) -> dict[str, object]:
            sent.append(image)
            time.sleep(0.02)
            return TWO

        world = World(max_request_images=99)
        world.predictor._scorer = FakeAsyncScorer(score)
        images = [base64.b64encode(jpeg(9 + n, 9)).decode() for n in range(3 * BATCH_IMAGES)]
        with pytest.raises(UpstreamTimeout, match=f"{BATCH_IMAGES} of {3 * BATCH_IMAGES} images"):
            world.reply(json.dumps({"images": images}).encode(), "application/json", x_deadline_ms="150")
        assert len(sent) == BATCH_IMAGES

    def test_a_picture_is_drawn_of_one_only(self) -> None:
        with pytest.raises(BadRequest, match="one image"):
            self.ask(World(), jpeg(40, 30), jpeg(40, 30), render="true")

    @given(st.lists(st.integers(0, 3 * BATCH_BYTES // 2), min_size=1, max_size=40))
    def test_batches_keep_order_and_limits(self, sizes: list[int]) -> None:
        images = [b"x" * size for size in sizes]
        found = list(batches(images))
        assert [len(image) for batch in found for image in batch] == sizes
        for batch in found:
            assert 1 <= len(batch) <= BATCH_IMAGES
            assert len(batch) == 1 or sum(map(len, batch)) <= BATCH_BYTES


def test_azure_mls_own_body_passes_through() -> None:
    body = {"input_data": {"columns": ["image"], "data": [base64.b64encode(jpeg(40, 30)).decode()]}}
    world = World()
    reply = world.reply(json.dumps(body).encode(), "application/json")
    assert json.loads(reply.content) == [TWO]
    assert (world.images, reply.headers["x-visionloop-slot"]) == ([jpeg(40, 30)], "blue")


@pytest.mark.parametrize(
    ("image", "told"),
    [(jpeg(40, 30), UpstreamRefused), (jpeg(40, 30)[:300], UnprocessableImage), (b"hello", VisionloopError)],
)
def test_what_of_azure_mls_body_cannot_be_decoded_is_the_callers_to_mend(
    image: bytes, told: type[VisionloopError]
) -> None:
    world = World()
    world.raises = [UpstreamRefused("Azure answered 400")]
    body = {"input_data": {"columns": ["image"], "data": [base64.b64encode(image).decode()]}}
    with pytest.raises(told) as caught:
        world.reply(json.dumps(body).encode(), "application/json")
    assert (caught.value.status < 500) is (image != jpeg(40, 30))


@pytest.mark.parametrize("given", [{}, [], {"data": 7}, {"data": [7]}, {"data": []}, {"data": [["a", "b"]]}])
def test_azure_mls_body_of_another_shape_is_refused(given: Any) -> None:
    with pytest.raises(BadRequest):
        World().reply(json.dumps({"input_data": given}).encode(), "application/json")


def test_the_most_certain_are_kept() -> None:
    assert [p["label"] for p in World().json(top_k="1")["predictions"]] == ["ace"]


def test_headers_tell_time_model_and_slot() -> None:
    reply = World().reply(jpeg(40, 30), prefer="wait=5")
    assert re.fullmatch(r"proxy;dur=[0-9.]+, model;dur=[0-9.]+", reply.headers["server-timing"])
    assert reply.headers["x-visionloop-model"] == "vl-cards:1"
    assert reply.headers["preference-applied"] == "wait=5"


def test_accept_asks_for_the_picture_too() -> None:
    reply = World().reply(jpeg(40, 30), accept="image/jpeg")
    assert Image.open(io.BytesIO(reply.content)).format == "JPEG"
    assert "model;dur=" in reply.headers["server-timing"]


def test_a_busy_slot_is_asked_again_when_it_says() -> None:
    world = World()
    world.raises = [UpstreamBusy("429", retry_after=2)]
    assert world.json()["slot"] == "blue"
    assert world.slept == [2]


def test_a_deadline_that_is_nearer_than_that_is_kept() -> None:
    world = World()
    world.raises = [UpstreamBusy("429", retry_after=2)]
    with pytest.raises(UpstreamBusy):
        world.reply(jpeg(40, 30), x_deadline_ms="1500")
    assert world.slept == []


def test_addresses_are_not_taken_where_nobody_fetches() -> None:
    with pytest.raises(BadRequest, match="url"):
        World().reply(b'{"image_url": "https://example.com/a.jpg"}', "application/json")


def test_a_known_image_asks_no_slot_and_its_wishes_are_applied_anew() -> None:
    world = World(predict_cache_size=5)
    assert len(world.json()["predictions"]) == 2
    assert [p["label"] for p in world.json(threshold="0.5")["predictions"]] == ["ace"]
    assert [p["label"] for p in world.json(top_k="1")["predictions"]] == ["ace"]
    assert world.slots == ["blue"]


def test_what_the_model_is_unsure_about_is_kept_where_the_loop_wants_it() -> None:
    cloud, state = FakeCloud(), loop_state()
    state.config.config = LoopConfig(capture=Capture(share=1))
    capturer = Capturer(lambda: (cloud.data, cloud.system), cloud.clock, lambda: 0.0)
    known = state.model_dump_json().encode()
    champions = Champions(lambda name, etag: (200, "1", known))
    predictor = Predictor(champions, FakeAsyncScorer(lambda slot, image: TWO), fake_settings(), capturer=capturer)
    ask(predictor, Request("cards", jpeg(40, 30), {}, {"slot": "blue"}))
    capturer.drain()
    assert list(cloud.data.list()) == [], "a test of a slot is no user's image"
    ask(predictor, Request("cards", jpeg(40, 30)))
    capturer.drain()
    assert [blob.name.rpartition(".")[2] for blob in cloud.data.list("cards/images/captured/")] == ["jpg"]


@pytest.mark.parametrize("said", [{"nonsense": 1}, {"boxes": [{"label": "ace"}]}, {"probs": [1], "labels": ["ace"]}])
def test_nobody_suffers_from_a_challenger_that_answers_in_another_shape(said: dict[str, object]) -> None:
    """And that is counted, as a canary is for finding it."""
    state, written = loop_state(), dict[str, bytes]()
    state.datasets = [version(2, task="object_detection", classes=["ace"])]
    state.rollout = Rollout(
        run=2, model=ModelRef(name="vl-cards", version="2"), dataset_version=2, endpoint="vl-cards-abc", slot="green",
        scoring_uri="https://cards.example/score", step="canary", started=NOW, step_started=NOW, share=99, watching="seen/",
    )  # fmt: skip
    known = state.model_dump_json().encode()
    recorder = Recorder(written.__setitem__, every=60)
    scorer = FakeAsyncScorer(lambda slot, image: said if slot == "green" else TWO)
    predictor = Predictor(Champions(lambda name, etag: (200, "1", known)), scorer, fake_settings(), recorder)
    client = {"x-client-key": next(key for key in "abcdef" if place(key, "cards/2") < 0.99)}
    reply = ask(predictor, Request("cards", jpeg(40, 30), client))
    assert reply.headers["x-visionloop-slot"] == "blue"
    recorder.flush()
    [counts] = written.values()
    seen = json.loads(counts)["slots"]
    assert {slot: (one["requests"], one["errors"]) for slot, one in seen.items()} == {"green": (1, 1), "blue": (1, 0)}


def test_no_answer_waits_for_storage_or_fails_by_it() -> None:
    """Not for the policy of keeping images either, where the slot took longer than the state is fresh."""
    cloud, state, reads, now = FakeCloud(), loop_state(), list[str](), [0.0]
    state.config.config = LoopConfig(capture=Capture(share=1))
    known = state.model_dump_json().encode()

    def read(name: str, etag: str) -> tuple[int, str, bytes]:
        reads.append(name)
        return 200, "1", known

    def score(slot: str, image: bytes) -> dict[str, object]:
        now[0] += 3600
        return TWO

    capturer = Capturer(lambda: (cloud.data, cloud.system), cloud.clock, lambda: 0.0)
    champions = Champions(read, clock=lambda: now[0])
    predictor = Predictor(champions, FakeAsyncScorer(score), fake_settings(), capturer=capturer)
    ask(predictor, Request("cards", jpeg(40, 30)))
    assert len(reads) == 1
    capturer.drain()
    assert len(list(cloud.data.list("cards/images/captured/"))) == 1


def test_of_several_addresses_the_wrong_one_is_named() -> None:
    def fetch(url: str, seconds: float) -> bytes:
        if url.endswith("2"):
            raise BadRequest("url: example.com answered 404")
        return jpeg(40, 30)

    champions = Champions(lambda name, etag: (200, "1", loop_state().model_dump_json().encode()))
    predictor = Predictor(champions, FakeAsyncScorer(lambda slot, image: TWO), fake_settings(), fetch=fetch)
    body = json.dumps({"image_urls": ["https://a/1", "https://a/2"]}).encode()
    with pytest.raises(BadRequest, match=r"Image 2 of 2: url: example\.com answered 404"):
        ask(predictor, Request("cards", body, {"content-type": "application/json"}))


def test_addresses_are_fetched_within_the_deadline() -> None:
    fetched: list[str] = []

    def fetch(url: str, seconds: float) -> bytes:
        fetched.append(url)
        time.sleep(0.06)
        return jpeg(40, 30)

    known = loop_state().model_dump_json().encode()
    champions = Champions(lambda name, etag: (200, "1", known))
    predictor = Predictor(champions, FakeAsyncScorer(lambda slot, image: TWO), fake_settings(), fetch=fetch)
    body = json.dumps({"image_urls": [f"https://example.com/{n}.jpg" for n in range(9)]}).encode()
    headers = {"content-type": "application/json", "x-deadline-ms": "100"}
    with pytest.raises(UpstreamTimeout, match="fetched"):
        ask(predictor, Request("cards", body, headers))
    assert len(fetched) <= 3
    one = json.dumps({"image_url": "https://example.com/1.jpg"}).encode()
    assert json.loads(ask(predictor, Request("cards", one, {"content-type": "application/json"})).content)["slot"]


@pytest.mark.parametrize(("given", "error"), [("100", UpstreamTimeout), ("60000", BadRequest)])
def test_an_address_has_no_longer_than_the_caller(given: str, error: type[VisionloopError]) -> None:
    limits: list[float] = []

    def fetch(url: str, seconds: float) -> bytes:
        limits.append(seconds)
        time.sleep(min(seconds, 0.2))
        raise BadRequest("url: no answer from example.com")

    known = loop_state().model_dump_json().encode()
    champions = Champions(lambda name, etag: (200, "1", known))
    predictor = Predictor(champions, FakeAsyncScorer(lambda slot, image: TWO), fake_settings(), fetch=fetch)
    body = json.dumps({"image_url": "https://example.com/1.jpg"}).encode()
    with pytest.raises(VisionloopError) as caught:
        ask(predictor, Request("cards", body, {"content-type": "application/json", "x-deadline-ms": given}))
    assert type(caught.value) is error
    assert 0 < limits[0] <= float(given) / 1000


def test_a_usual_prediction_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the loop's state is known; what blocks has its thread, whatever it is."""
    threads: list[object] = []

    async def noted(work: Any) -> Any:
        threads.append(work)
        return work()

    for module in ("predict", "champion", "cache"):
        monkeypatch.setattr(f"services.inference.{module}.in_thread", noted)
    world = World(predict_cache_size=3)
    world.json()
    assert len(threads) == 1, "the state was read"
    world.json(threshold="0.5")
    world.reply(jpeg(30, 20))
    body = {"images": [base64.b64encode(jpeg(40, 30)).decode()]}
    world.reply(json.dumps(body).encode(), "application/json")
    assert len(threads) == 1
    for image, query in (
        (picture(30, 20, orientation=6), {}),
        (picture(30, 20, "BMP"), {}),
        (jpeg(9, 9), {"render": "png"}),
    ):
        before = len(threads)
        world.reply(image, KIND, query)
        assert len(threads) == before + 1
