"""Everything else that reads what others write: images' headers, loop.yaml, queue messages, events, commands."""

from __future__ import annotations

import io
import json
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from services import hints
from services.catalogue.cut_off import cut_off
from services.catalogue.images import ImageFacts, Unreadable, read_facts
from services.commands import Asked, read_asked
from services.config_file import read_config
from services.errors import BadRequest
from services.labels.class_lists import read_class_list
from services.labels.problems import CODES
from services.labels.values import class_name
from services.loop_config import LoopConfig
from services.names import is_loop_name, job_name
from services.wake import read_wake
from tests.support.hostile import SHARES, attack

CONTAINER = "visionloop-data"


def image(kind: str, orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    exif[0x010E] = "a belt"
    out = io.BytesIO()
    pixels = random.Random(2).randbytes(3 * 9 * 7)
    Image.frombytes("RGB", (9, 7), pixels).save(out, kind, exif=exif)
    return out.getvalue()


IMAGES = [image(kind, orientation) for kind in ("JPEG", "PNG", "BMP", "WEBP", "TIFF") for orientation in (1, 6)]


def facts_of(data: bytes) -> ImageFacts:
    return read_facts(lambda offset, length: data[offset : offset + length], len(data))


def header(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in production: Pillow warns of what it then reads or refuses
        try:
            facts = facts_of(data)
        except Unreadable:
            return
        assert facts.width > 0
        assert facts.height > 0
        assert facts.format in {"jpeg", "png", "bmp", "webp", "tiff"}
        if facts.width * facts.height < 10**6:
            assert isinstance(cut_off(facts.format, data), str)


CONFIGS = [
    b"""\
classes: [nut, "bolt"]  # both
quiet_period_seconds: 12.5
training:
  first_threshold: {images: 40}
  search_space:
    - {learning_rate: "uniform(0.001, 0.01)"}
paused: false
""",
    json.dumps({"validation_share": 0.3, "endpoint": {"instance_count": 1}}).encode(),
]


def config(data: bytes) -> None:
    found, problems = read_config(data, "loop.yaml")
    assert (found is None) == bool(problems)
    assert found is None or LoopConfig.model_validate_json(found.model_dump_json()) == found
    for each in problems:
        assert (each.code, each.file) == ("config-invalid", "loop.yaml")
        assert len(each.expected + each.found) < 2000
        json.dumps(each.model_dump())


CLASS_LISTS = [
    b"nc: 2\nnames:\n  0: nut\n  1: 'bolt'\n",
    b"train: ../x\nnames: [nut, bolt]\n",
    b"nut\nbolt\n\nwasher \n",
]


def class_list(data: bytes) -> None:
    for file in ("labels/data.yaml", "labels/classes.txt"):
        found, problems = read_class_list(file, data)
        assert {p.code for p in problems} <= CODES.keys()
        assert all(number >= 0 and class_name(name) == name for number, name in found.items())


WAKES = [b'{"loop": "cards", "reason": "a blob changed"}']


def wake(data: bytes) -> None:
    try:
        found = read_wake(data.decode("utf-8", "replace"))
    except BadRequest:
        return
    assert is_loop_name(found.loop)
    assert isinstance(found.reason, str)


COMMANDS = [b'{"by": "Ada", "why": "new camera", "again": true}']


def command(data: bytes) -> None:
    try:
        found = read_asked(data)
    except BadRequest:
        return
    assert isinstance(found, Asked)
    assert max(len(found.by), len(found.why)) <= 500


BLOB = "/blobServices/default/containers/visionloop-data/blobs/cards/images/%41.jpg"
EVENTS = [
    json.dumps({"subject": BLOB, "data": {"api": "PutBlob", "url": "https://x/cards/images/A.jpg"}}).encode(),
    json.dumps({"subject": "", "data": {"RunId": job_name("cards", "a", "b"), "runTags": {"a": "b"}}}).encode(),
    json.dumps(
        {"subject": f"experiments/x/runs/{job_name('cards', 'a', 'b')}", "data": {"runType": "azureml"}}
    ).encode(),
]


def event(data: bytes) -> None:
    """As the worker hands it on: any JSON as data, any text as subject."""
    subject, body = _event(data)
    for kind in (*hints.STORAGE_TYPES, *hints.RUN_TYPES, subject):
        for found in (
            hints.loop_of_storage_event(kind, subject, body, CONTAINER),
            hints.loop_of_ml_event(kind, subject, body),
        ):
            assert found is None or is_loop_name(found)


def _event(data: bytes) -> tuple[str, Any]:
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text, text
    whole = found if isinstance(found, dict) else {}
    return str(whole.get("subject", text)), whole.get("data", found)


PARSERS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "image header": (header, IMAGES),
    "loop.yaml": (config, CONFIGS),
    "class list": (class_list, CLASS_LISTS),
    "wake": (wake, WAKES),
    "command": (command, COMMANDS),
    "event": (event, EVENTS),
}


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("name", PARSERS)
def test_only_documented_errors(name: str, kind: str) -> None:
    check, samples = PARSERS[name]
    attack(check, samples, kind)


@pytest.mark.parametrize("name", PARSERS)
def test_the_samples_themselves_are_fine(name: str) -> None:
    """What is spoilt was good before, so that the inner parts of a parser are reached."""
    check, samples = PARSERS[name]
    for sample in samples:
        check(sample)
    assert [read_config(c, "loop.yaml")[1] for c in CONFIGS] == [[], []]
    assert [hints.loop_of_ml_event(min(hints.RUN_TYPES), *_event(e)) for e in EVENTS[1:]] == ["cards", "cards"]
    subject, body = _event(EVENTS[0])
    assert hints.loop_of_storage_event(min(hints.STORAGE_TYPES), subject, body, CONTAINER) == "cards"
    assert read_wake(WAKES[0].decode()).loop == "cards"
    assert read_asked(COMMANDS[0]).by == "Ada"
    for data in IMAGES:
        facts = facts_of(data)
        assert {facts.width, facts.height} == {9, 7}
        assert cut_off(facts.format, data) == ""
