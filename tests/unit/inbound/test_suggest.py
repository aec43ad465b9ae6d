"""The ML backend: suggestions as Label Studio shows them, which read back are the model's boxes."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from services.cloud.fakes import FakeAsyncScorer, fake_settings
from services.errors import BadRequest, Forged, NotFound, TooLarge, UpstreamBusy
from services.inbound.suggest import Control, Suggestions, controls_of
from services.inference.champion import Champions
from services.inference.predict import Predictor
from services.labels.label_studio import annotation_labels
from services.labels.record import RawLabel
from services.names import state_blob
from services.state_store import StateStore
from tests.support.inbound_house import InboundHouse
from tests.support.predictions import loop_state, picture

SAMPLES = Path(__file__).resolve().parents[2] / "support" / "label_studio_samples"
BOXES = '<View><Image name="pic" value="$image"/><RectangleLabels name="card" toName="pic"><Label value="ace"/></RectangleLabels></View>'
CHOICES = (
    '<View><Image name="pic" value="$image"/><Choices name="kind" toName="pic"><Choice value="ace"/></Choices></View>'
)
PLACE = {"topX": 0.1, "topY": 0.2, "bottomX": 0.5, "bottomY": 1.2}
SCORED: dict[str, object] = {"boxes": [{"label": "ace", "score": 0.9, "box": PLACE}]}


class House(InboundHouse):
    """A loop with a live model and one image, connected to Label Studio."""

    def __init__(self, scored: dict[str, object] | None = None, **champion: Any) -> None:
        super().__init__(**champion)
        self.cloud.data.write("cards/images/shelf/1.png", picture(200, 100))
        self.cloud.data.write("cards/images/broken.png", b"no picture")
        self.id, self.secret = self.register(kind="label_studio")
        self.fetched = list[str]()
        scorer = FakeAsyncScorer(lambda slot, image: scored or SCORED)
        self.scorer = scorer
        predictor = Predictor(Champions(self._state), scorer, fake_settings())
        states = StateStore(self.cloud.system, self.cloud.clock)
        parts = (self.cloud.data, self.sources, predictor, self.fetch, fake_settings())
        self.suggestions = Suggestions(*parts, states.read, self.cloud.clock)

    def _state(self, name: str, etag: str) -> tuple[int, str, bytes]:
        found = self.cloud.system.blobs[name]
        return 200, found.etag, found.data

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if not url:
            raise BadRequest("url: it must begin with https://")
        return picture(40, 80)

    def headers(self) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(f"label-studio:{self.secret}".encode()).decode()}

    def ask(self, *images: Any, config: Any = BOXES) -> dict[str, Any]:
        tasks = [{"id": n, "data": {"image": image}} for n, image in enumerate(images)]
        body = json.dumps({"tasks": tasks, "project": "2.1", "label_config": config}).encode()
        return asyncio.run(self.suggestions.predict(self.id, self.headers(), body))


@pytest.fixture
def house() -> House:
    return House()


def test_a_box_is_shown_in_per_cent_of_the_image_and_stays_in_it(house: House) -> None:
    answer = house.ask("azure-blob://visionloop-data/cards/images/shelf/1.png")
    [one] = answer["results"]
    [result] = one["result"]
    assert (result["from_name"], result["to_name"], result["type"]) == ("card", "pic", "rectanglelabels")
    assert (result["original_width"], result["original_height"]) == (200, 100)
    value = {"x": 10, "y": 20, "width": 40, "height": 80, "rotation": 0, "rectanglelabels": ["ace"]}
    assert result["value"] == value
    assert (one["score"], one["model_version"], answer["model_version"]) == (0.9, "vl-cards:1", "vl-cards:1")
    [label] = annotation_labels(one)
    assert isinstance(label, RawLabel)
    assert label.box == pytest.approx((0.1, 0.2, 0.5, 1.0))


def test_an_installed_label_studio_is_answered_task_for_task(house: House) -> None:
    """What Label Studio 1.23.2 asked when tests/real ran."""
    asked = json.loads((SAMPLES / "predict.json").read_text())
    for name in ("1.png", "2.png", "3.png"):
        house.cloud.data.write(f"cards/images/{name}", picture(200, 100))
    answer = asyncio.run(house.suggestions.predict(house.id, house.headers(), json.dumps(asked).encode()))
    assert [len(one["result"]) for one in answer["results"]] == [1, 1, 1, 0]
    assert answer["results"][0]["result"][0]["from_name"] == "label"
    body = (SAMPLES / "setup.json").read_bytes()
    assert b"access_token" in body
    assert house.suggestions.setup(house.id, house.headers()) == {"model_version": "vl-cards:1"}


def test_an_image_of_elsewhere_is_fetched_by_its_address(house: House) -> None:
    [one] = house.ask("https://images.example/9.jpg")["results"]
    assert house.fetched == ["https://images.example/9.jpg"]
    assert one["result"][0]["original_height"] == 80


@pytest.mark.parametrize("image", ["/data/upload/2/0a1b2c3d-x.jpg", "cards/images/broken.png", "../../fruit/1.png", 7])
def test_an_image_that_cannot_be_had_takes_no_suggestion_from_others(house: House, image: Any) -> None:
    none, one = house.ask(image, "cards/images/shelf/1.png")["results"]
    assert none["result"] == []
    assert len(one["result"]) == 1


def test_another_loops_image_is_not_read(house: House) -> None:
    house.cloud.data.write("fruit/images/2.png", picture(10, 10))
    [none] = house.ask("azure-blob://visionloop-data/fruit/images/2.png")["results"]
    assert none["result"] == []


def test_a_class_is_suggested_where_choices_are_made() -> None:
    house = House({"probs": [0.2, 0.8], "labels": ["ace", "jack"]}, task="image_classification")
    [one] = house.ask("cards/images/shelf/1.png", config=CHOICES)["results"]
    assert [result["value"] for result in one["result"]] == [{"choices": ["jack"]}]


def test_a_model_that_does_not_answer_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object, **__: object) -> list[dict[str, object]]:
        raise UpstreamBusy("busy")

    monkeypatch.setattr(house.scorer, "score", busy)
    with pytest.raises(UpstreamBusy):
        house.ask("cards/images/shelf/1.png")


def test_health_and_setup_answer_as_label_studio_asks(house: House) -> None:
    assert house.suggestions.up(house.id, house.headers())["status"] == "UP"
    assert house.suggestions.setup(house.id, house.headers()) == {"model_version": "vl-cards:1"}


def test_a_version_is_told_that_suggestions_have(house: House) -> None:
    """Label Studio asks again for every task that has no suggestion of it, and keeps what it had."""
    [one] = house.ask("cards/images/shelf/1.png")["results"]
    assert house.suggestions.setup(house.id, house.headers()) == {"model_version": one["model_version"]}
    state = loop_state(live=False)
    house.cloud.system.write(state_blob("cards"), state.model_dump_json().encode())
    assert house.suggestions.setup(house.id, house.headers()) == {"model_version": "cards"}


@pytest.mark.parametrize(
    "said", ["", "Basic", "Basic !", "Basic é", "Bearer x", "Basic " + base64.b64encode(b"a:b").decode()]
)
def test_the_password_is_the_sources_secret(house: House, said: str) -> None:
    with pytest.raises(Forged):
        house.suggestions.up(house.id, {"authorization": said})
    with pytest.raises(Forged):
        asyncio.run(house.suggestions.predict(house.id, {}, b"{"))
    with pytest.raises(NotFound):
        house.suggestions.setup("in_0", house.headers())


def test_a_source_of_another_kind_is_no_backend(house: House) -> None:
    found = house.sources.register(b'{"kind": "generic", "loop": "cards"}')
    house.secret = str(found["secret"])
    with pytest.raises(Forged):
        house.suggestions.up(str(found["id"]), house.headers())


BOMB = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><View><Choices name="&c;" toName="p"/></View>'


@pytest.mark.parametrize("config", [None, 7, "", "<View", "<View/>", '<View><Choices name="x"/></View>', BOMB])
def test_a_configuration_without_a_place_for_suggestions_is_refused(config: Any) -> None:
    with pytest.raises(BadRequest, match="label_config"):
        controls_of(config)


def test_boxes_come_before_choices() -> None:
    first, *_ = controls_of(f"<View>{CHOICES}{BOXES}</View>")
    assert first == Control("rectanglelabels", "card", "pic")


def test_each_box_is_where_its_class_is_offered() -> None:
    config = (
        '<View><Image name="pic" value="$image"/>'
        '<RectangleLabels name="card" toName="pic"><Label value="ace"/></RectangleLabels>'
        '<RectangleLabels name="coin" toName="pic"><Label value="cent"/></RectangleLabels></View>'
    )
    names = ("cent", "ace", "unknown")
    house = House({"boxes": [{"label": n, "score": 0.9, "box": PLACE} for n in names]})
    [one] = house.ask("cards/images/shelf/1.png", config=config)["results"]
    assert [(r["from_name"], *r["value"]["rectanglelabels"]) for r in one["result"]] == [
        ("coin", "cent"), ("card", "ace"), ("card", "unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        '<RectangleLabels name="card" toName="pic"><Label value="ace"/></RectangleLabels>',
        '<Text name="said" value="$text"/><Choices name="mood" toName="said"><Choice value="jack"/></Choices>',
        '<Choices name="of_box" toName="pic" perRegion="true"><Choice value="jack"/></Choices>',
    ],
)
def test_a_class_is_chosen_for_the_image_whatever_else_there_is(other: str) -> None:
    config = f'<View>{other}<Image name="pic" value="$image"/><Choices name="kind" toName="pic"/></View>'
    house = House({"probs": [0.2, 0.8], "labels": ["ace", "jack"]}, task="image_classification")
    [one] = house.ask("cards/images/shelf/1.png", config=config)["results"]
    assert [(result["from_name"], result["value"]) for result in one["result"]] == [("kind", {"choices": ["jack"]})]


def test_boxes_have_no_place_among_choices() -> None:
    [one] = House().ask("cards/images/shelf/1.png", config=CHOICES)["results"]
    assert one["result"] == []


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"{}", b'{"tasks": 7}', b'{"tasks": [7]}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_a_bad_request(house: House, body: bytes) -> None:
    with pytest.raises(BadRequest):
        asyncio.run(house.suggestions.predict(house.id, house.headers(), body))


def test_a_request_has_no_more_tasks_than_images_may_be_asked_about(house: House) -> None:
    with pytest.raises(TooLarge):
        house.ask(*["1.png"] * (fake_settings().max_request_images + 1))
