"""What becomes of the memory of predictions: it is kept for the next ones, and no search for cycles is needed to free it."""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable

import azure.functions as func
import pytest

from services import wiring
from services.cloud import endpoint_token
from services.cloud.async_scoring import AsyncEndpointScorer
from services.cloud.fakes import fake_settings
from services.inference.calls import Calls
from services.inference.champion import Champions
from services.inference.gate import Gate
from services.inference.predict import Predictor
from tests.support.predictions import jpeg, loop_state
from tests.support.small_server import Handler, serving
from triggers import predict
from triggers.http import answers_later

FAULTS = """
import json, resource
from services.cloud.memory import keep_freed_buffers

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        held = [b"x" * 300_000 for _ in range(8)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
keep_freed_buffers()
faults()
print(json.dumps([before, faults()]))
"""
SEARCHES = """
import gc, json
from services.cloud.memory import collect_less_often

def of(*thresholds):
    gc.set_threshold(*thresholds)
    collect_less_often()
    return gc.get_threshold()

print(json.dumps([of(700, 10, 10), of(0, 10, 10), of(90_000, 5, 5), gc.get_freeze_count()]))
"""


def run(program: str) -> list[int]:
    """What a process of its own prints: these settings are the whole process's."""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    found: list[int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_memory_of_a_request_is_kept_for_the_next() -> None:
    before, after = run(FAULTS)
    assert before > 1000
    assert after < before / 10


def test_cycles_are_searched_less_often_but_where_somebody_chose_that() -> None:
    usual, never, seldom, frozen = run(SEARCHES)
    assert usual == [5_000, 10, 10]
    assert never == [0, 10, 10]
    assert seldom == [90_000, 5, 5]
    assert frozen > 1000


class Slot(Handler):
    """Answers as the loop's name in the address wants it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body()
        if self.path == "/late":
            time.sleep(5)  # in a thread that nobody waits for
        status = 500 if self.path == "/broken" else 200
        self.answer(status, b"no JSON" if self.path == "/odd" else b'[{"boxes": []}]')


def requested(body: bytes, headers: dict[str, str]) -> func.HttpRequest:
    return func.HttpRequest("POST", "http://h/api/loops/cards/predict", headers=headers, params={},
                            route_params={"loop": "cards"}, body=body)  # fmt: skip


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("place", "image", "headers", "status"),
    [
        ("/score", jpeg, {}, 200),
        ("/broken", jpeg, {}, 502),
        ("/odd", jpeg, {}, 502),
        ("/late", jpeg, {"x-deadline-ms": "50"}, 504),
        ("/score", lambda *_: b"no image " * 9, {}, 415),
        ("/score", lambda *_: b"{" * 900, {"content-type": "application/json"}, 400),
    ],
)
def test_nothing_holds_an_image_once_it_is_answered(
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    image: Callable[[int, int], bytes],
    headers: dict[str, str],
    status: int,
) -> None:
    """Else images that came since the last search would fill the memory, the more so as searches are seldom."""
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")
    body = image(64, 48) + b"\0"
    ask = answers_later(predict.ask)

    async def scene(scorer: AsyncEndpointScorer) -> None:
        for _ in range(4):
            answer = await ask(requested(body, headers))
            assert answer.status_code == status
        scorer.close()

    with serving(Slot) as address:
        state = loop_state(scoring_uri=address + place)
        scorer = AsyncEndpointScorer(4)
        champions = Champions(lambda name, etag: (200, "1", state.model_dump_json().encode()))
        predictor = Predictor(champions, scorer, fake_settings(), calls=Calls(dice=lambda: 0.5))
        monkeypatch.setattr(wiring, "predictor", lambda: predictor)
        monkeypatch.setattr(wiring, "gate", lambda: Gate(1))
        held = sys.getrefcount(body)
        asyncio.run(scene(scorer))
    ends = time.monotonic() + 60
    while sys.getrefcount(body) > held and time.monotonic() < ends:
        time.sleep(0.01)  # a thread that has answered may not have come to its end yet
    assert sys.getrefcount(body) == held, "requests leave their bodies behind"
