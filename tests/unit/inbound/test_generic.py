"""Generic sources: who may send, what is taken, and that nothing leaves the loop's folder."""

from __future__ import annotations

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.cloud.fakes import fake_settings
from services.errors import BadRequest, Conflict, Forged, NotFound, TooLarge
from services.inbound.sources import MOST_SOURCES
from services.inbound.taken import KEPT, Taken
from tests.support.inbound_house import InboundHouse

LABEL = {"visionloop": 1, "labels": [{"label": "ace", "box": [1, 2, 30, 40]}]}


class House(InboundHouse):
    """One loop, one source of it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = Taken(self.cloud.system, self.cloud.clock)
        self.id, self.secret = self.register(kind="generic")

    def send(self, *items: dict[str, Any], message: str = "m1", at: datetime | None = None, **forged: str) -> Any:
        body = json.dumps({"items": items}).encode()
        return self.inbound.take(self.id, self.signed(body, message, at) | forged, body)

    def signed(self, body: bytes, message: str = "m1", at: datetime | None = None) -> dict[str, str]:
        time = at or datetime.now(UTC)
        signature = Webhook(self.secret).sign(message, time, body.decode())
        stamp = str(int(time.timestamp()))
        return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}


@pytest.fixture
def house() -> House:
    return House()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_images_and_labels_become_files_of_the_loop_images_first(house: House) -> None:
    answer = house.send(
        {"name": "a.jpg", "label": LABEL}, {"name": "shelf/b.png", "image": encoded(b"png"), "label": LABEL}
    )
    assert answer["files"] == ["images/shelf/b.png", "labels/a.json", "labels/shelf/b.json"]
    assert house.cloud.data.blobs["cards/images/shelf/b.png"].data == b"png"
    kept = json.loads(house.cloud.data.blobs["cards/labels/a.json"].data)
    assert kept["labels"] == [{"label": "ace", "box": [1, 2, 30, 40]}]


def said(house: House) -> dict[str, str]:
    """Every label by the image that its file names."""
    found = [json.loads(blob.data) for name, blob in house.cloud.data.blobs.items() if "/labels/" in name]
    assert len({each["image"] for each in found}) == len(found)
    return {each["image"]: each["labels"][0]["label"] for each in found}


def label(name: str) -> dict[str, Any]:
    return {"visionloop": 1, "labels": [{"label": name}]}


def test_images_of_one_stem_in_one_folder_have_files_of_their_own(house: House) -> None:
    """Of `1.jpg` and `1.png` the label that was written last was that of both."""
    house.send({"name": "shelf/1.jpg", "label": label("ace")})
    [name] = house.cloud.data.blobs
    assert name == "cards/labels/shelf/1.json"
    for message in ("m2", "m3"):
        answer = house.send({"name": "shelf/1.png", "label": label("jack")}, message=message)
        assert answer["files"] == ["labels/shelf/1.png.json"]
        assert said(house) == {"shelf/1.jpg": "ace", "shelf/1.png": "jack"}
    house.send({"name": "shelf/1.jpg", "label": label("ten")}, message="m4")
    assert said(house) == {"shelf/1.jpg": "ten", "shelf/1.png": "jack"}


def test_images_of_one_stem_in_one_message_have_files_of_their_own(house: House) -> None:
    kinds = ["jpg", "png", "bmp", "webp", "tif"]
    answer = house.send(*({"name": f"1.{kind}", "label": label(kind)} for kind in kinds))
    assert said(house) == {f"1.{kind}": kind for kind in kinds}
    assert {f"cards/{file}" for file in answer["files"]} == {*house.cloud.data.blobs}


@pytest.mark.parametrize(
    "there",
    [
        b"",
        b"[]",
        b"{}",
        b'{"image": 7}',
        b'{"image": "1"}',
        b'{"image": "x/1.jpg"}',
        b'{"image": "2.png"}',
        b"[" * 9999,
    ],
)
def test_what_names_no_other_image_is_replaced(house: House, there: bytes) -> None:
    house.cloud.data.write("cards/labels/1.json", there)
    assert house.send({"name": "1.jpg", "label": label("ace")})["files"] == ["labels/1.json"]
    assert said(house) == {"1.jpg": "ace"}


def test_a_file_names_the_image_that_it_was_sent_for(house: House) -> None:
    house.send({"name": "shelf/1.jpg", "label": {**LABEL, "image": "elsewhere/2.png"}})
    assert [*said(house)] == ["shelf/1.jpg"]


def test_of_several_items_of_one_name_the_last_holds(house: House) -> None:
    items = [{"name": "1.jpg", "label": label(f"c{i}"), "image": encoded(b"%d" % i)} for i in range(10)]
    assert house.send(*items)["files"] == ["images/1.jpg", "labels/1.json"]
    assert said(house) == {"1.jpg": "c9"}
    assert house.cloud.data.blobs["cards/images/1.jpg"].data == b"9"


def test_a_label_that_others_write_too_is_written_again(house: House) -> None:
    house.send({"name": "1.jpg", "label": label("ace")})
    others = iter(range(3))

    def write(call: str) -> None:
        if call == "after:blob.read" and next(others, None) is not None:
            house.cloud.data.blobs["cards/labels/1.json"].etag += "0"

    house.cloud.data.on_call = write
    house.send({"name": "1.jpg", "label": label("jack")}, message="m2")
    assert said(house) == {"1.jpg": "jack"}


def test_a_message_that_comes_again_does_nothing(house: House) -> None:
    house.send({"name": "a.jpg", "label": LABEL})
    house.cloud.data.blobs.clear()
    earlier = datetime.now(UTC) - timedelta(minutes=2)
    again = house.send({"name": "a.jpg", "label": LABEL}, at=earlier)
    assert (again["taken"], again["files"]) == (False, [])
    assert not house.cloud.data.blobs
    assert house.send({"name": "a.jpg", "label": LABEL}, message="m2")["taken"]


def test_a_message_that_was_cut_off_is_taken_when_it_comes_again(house: House) -> None:
    def die(call: str) -> None:
        if call == "after:blob.write":
            raise OSError("cut off")

    house.cloud.data.on_call = die
    with pytest.raises(OSError, match="cut off"):
        house.send({"name": "a.jpg", "label": LABEL}, {"name": "b.jpg", "label": LABEL})
    house.cloud.data.on_call = lambda call: None
    assert house.send({"name": "a.jpg", "label": LABEL}, {"name": "b.jpg", "label": LABEL})["taken"]
    assert sorted(house.cloud.data.blobs) == ["cards/labels/a.json", "cards/labels/b.json"]


def cut_off(house: House, call: str, name: str, message: str) -> None:
    """A message whose process dies at its first file, and a minute that passes."""

    def die(each: str) -> None:
        if each == call:
            raise OSError("cut off")

    house.cloud.data.on_call = die
    with pytest.raises(OSError, match="cut off"):
        house.send({"name": "a.jpg", "label": label(name)}, message=message)
    house.cloud.data.on_call = lambda _: None
    house.cloud.clock.advance(60)


@pytest.mark.parametrize("call", ["before:blob.write", "after:blob.write"])
def test_a_message_that_was_cut_off_takes_no_label_back_that_was_sent_since(house: House, call: str) -> None:
    cut_off(house, call, "old", "m1")
    house.send({"name": "a.jpg", "label": label("new")}, message="m2")
    house.cloud.clock.advance(60)
    answer = house.send({"name": "a.jpg", "label": label("old")}, {"name": "b.jpg", "label": LABEL}, message="m1")
    assert (answer["taken"], answer["files"]) == (True, ["labels/b.json"])
    assert "newer" in answer["says"]
    assert said(house)["a.jpg"] == "new"
    house.cloud.clock.advance(60)
    house.send({"name": "a.jpg", "label": label("newest")}, message="m3")
    assert said(house)["a.jpg"] == "newest"


def test_of_messages_that_were_cut_off_the_newest_holds_in_whatever_order_they_come_again() -> None:
    """What an older one writes, late as it may be, is no newer label."""
    for order in itertools.permutations(("m1", "m2", "m3")):
        house = House()
        for message in ("m1", "m2", "m3"):
            cut_off(house, "before:blob.write", message, message)
        for message in (*order, *order):
            house.send({"name": "a.jpg", "label": label(message)}, message=message)
            house.cloud.clock.advance(60)
        assert said(house) == {"a.jpg": "m3"}, order


def test_a_message_that_is_new_is_the_newest_whatever_a_clock_says(house: House) -> None:
    house.send({"name": "a.jpg", "label": label("old")})
    house.cloud.clock.advance(-5)
    house.send({"name": "a.jpg", "label": label("new")}, message="m2")
    assert said(house) == {"a.jpg": "new"}


def test_a_label_that_was_uploaded_since_is_newer_too(house: House) -> None:
    cut_off(house, "after:blob.write", "old", "m1")
    house.cloud.data.write("cards/labels/a.json", b'{"visionloop": 1, "negative": true}')
    house.cloud.clock.advance(60)
    house.send({"name": "a.jpg", "label": label("old")}, message="m1")
    assert b"negative" in house.cloud.data.blobs["cards/labels/a.json"].data
    house.send({"name": "a.jpg", "label": label("new")}, message="m2")
    assert said(house) == {"a.jpg": "new"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook-id": "other"},
        {"webhook-id": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "9" * 30},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "AAAA"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": "v2,AAAA v1"},
    ],
)
def test_forgeries_are_refused_before_the_body_is_read(house: House, wrong: dict[str, Any]) -> None:
    with pytest.raises(Forged) as refused:
        house.send({"name": "../x"}, **wrong)
    assert house.secret not in refused.value.detail
    assert not house.cloud.data.blobs


@pytest.mark.parametrize("minutes", [-6, 6])
def test_what_is_signed_for_another_time_is_refused(house: House, minutes: int) -> None:
    with pytest.raises(Forged, match="more than five minutes from the time here"):
        house.send({"name": "a.jpg", "label": LABEL}, at=datetime.now(UTC) + timedelta(minutes=minutes))


def test_an_honest_sender_is_told_what_to_mend(house: House) -> None:
    body = b'{"items": []}'
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        with pytest.raises(Forged, match=f"The header {name} is missing"):
            house.inbound.take(house.id, house.signed(body) | {name: ""}, body)
    with pytest.raises(Forged, match="webhook-signature does not fit"):
        house.inbound.take(house.id, house.signed(body) | {"webhook-id": "m2"}, body)
    with pytest.raises(BadRequest, match=r"^items\.1\.name: 'b\.txt' is no path of an image"):
        house.send({"name": "a.jpg", "label": LABEL}, {"name": "b.txt", "label": LABEL})


def test_another_sources_secret_is_no_proof(house: House) -> None:
    other = house.sources.register(b'{"kind": "generic", "loop": "cards"}')
    body = b'{"items": []}'
    with pytest.raises(Forged):
        house.inbound.take(str(other["id"]), house.signed(body), body)


@pytest.mark.parametrize(
    "name",
    ["../x.jpg", "a/../../x.jpg", "..\\x.jpg", "a\\..\\..\\x.jpg", "/x.jpg", "a//x.jpg", "./x.jpg", "x.exe", "x", ".jpg/",
     "a\nb.jpg", "a\x00.jpg", "\u202egpj.jpg", "x" * 1100 + ".jpg", "\ud800.jpg"],
)  # fmt: skip
def test_no_name_leaves_the_loops_images(house: House, name: str) -> None:
    with pytest.raises(BadRequest):
        house.send({"name": "ok.jpg", "label": LABEL}, {"name": name, "label": LABEL, "image": encoded(b"x")})
    assert not house.cloud.data.blobs, "nothing is written of a message that is wrong in part"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"name": "a.jpg"}, "an image, a label or both"),
        ({"name": "a.jpg", "image": "%%%"}, "not base64"),
        ({"name": "a.jpg", "image": ""}, "empty"),
        ({"name": "a.jpg", "label": {"visionloop": 1}}, "items.0.label"),
        ({"name": "a.jpg", "label": {**LABEL, "labels": [{"label": "", "box": [1, 2]}]}}, "items.0.label"),
        ({"name": "a.jpg", "label": LABEL, "loop": "fruit"}, "items.0.loop"),
    ],
)
def test_a_wrong_item_is_named(house: House, item: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        house.send(item)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"[" * 100_000, b'{"items": []}', b'{"items": [7]}'])
def test_a_body_that_is_no_message_is_a_bad_request(house: House, body: bytes) -> None:
    with pytest.raises(BadRequest):
        house.inbound.take(house.id, house.signed(body), body)


def test_a_body_that_is_no_text_is_refused(house: House) -> None:
    with pytest.raises(Forged):
        house.inbound.take(house.id, house.signed(b"{}"), b"\xff\xfe")


def test_limits_are_those_of_predictions(house: House) -> None:
    small = fake_settings().model_copy(update={"max_request_images": 1, "max_image_bytes": 8, "max_request_bytes": 400})
    house.inbound = house.end(small)
    with pytest.raises(TooLarge, match="MAX_REQUEST_IMAGES"):
        house.send({"name": "a.jpg", "image": "AA=="}, {"name": "b.jpg", "image": "AA=="})
    with pytest.raises(TooLarge, match="MAX_IMAGE_BYTES"):
        house.send({"name": "a.jpg", "image": encoded(b"123456789")})
    with pytest.raises(TooLarge, match="MAX_REQUEST_BYTES"):
        house.send({"name": "a.jpg", "image": encoded(b"1" * 400)})
    assert house.send({"name": "a.jpg", "image": encoded(b"12345678")})["taken"]


def test_ids_are_forgotten_when_no_sender_repeats_them_any_more(house: House) -> None:
    house.taken.note("in_1", "m1")
    assert house.taken.has("in_1", "m1")
    assert not house.taken.has("in_2", "m1")
    house.cloud.clock.advance(KEPT.total_seconds() + 1)
    house.taken.note("in_1", "m1")
    [name] = [n for n in house.cloud.system.blobs if "/taken/" in n]
    assert house.cloud.system.blobs[name].data.count(b"2026") == 1


def test_a_secret_is_shown_once(house: House) -> None:
    assert house.secret not in json.dumps(house.sources.list())
    [source] = house.sources.list()["sources"]
    assert source["path"] == f"/api/inbound/{house.id}/events"


def test_a_removed_source_is_unknown(house: House) -> None:
    house.sources.remove(house.id)
    for call in (lambda: house.sources.remove(house.id), lambda: house.send({"name": "a.jpg", "label": LABEL})):
        with pytest.raises(NotFound):
            call()


@pytest.mark.parametrize(
    "body", [b"", b"[", b"{}", b'{"kind": "x", "loop": "cards"}', b'{"kind": "generic", "loop": "../x"}', b" " * 9000]
)
def test_a_wrong_source_is_refused(house: House, body: bytes) -> None:
    with pytest.raises(BadRequest):
        house.sources.register(body)


def test_a_source_is_of_a_loop_that_is_there_and_they_are_not_endless(house: House) -> None:
    with pytest.raises(NotFound):
        house.sources.register(b'{"kind": "generic", "loop": "nobody"}')
    for _ in range(MOST_SOURCES - 1):
        house.sources.register(b'{"kind": "generic", "loop": "cards"}')
    with pytest.raises(Conflict):
        house.sources.register(b'{"kind": "generic", "loop": "cards"}')
