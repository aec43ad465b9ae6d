from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.errors import UpstreamBusy
from services.inference.cache import Cache
from services.state import ModelRef
from tests.support.predictions import champion

ONE = champion()
NEXT = champion(model=ModelRef(name="vl-cards", version="2"))
OTHER = champion(slot="green")


def get(cache: Cache, model: Any, images: list[bytes], ask: Any) -> Any:
    return asyncio.run(cache.get(model, images, ask))


class Asked:
    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> Any:
        self.times += 1
        return [{"boxes": [], "number": self.times}]


def test_the_same_images_of_the_same_model_are_asked_for_once() -> None:
    cache, ask = Cache(9), Asked()
    assert get(cache, ONE, [b"a"], ask) == get(cache, ONE, [b"a"], ask)
    assert ask.times == 1


@pytest.mark.parametrize(
    ("model", "images"), [(NEXT, [b"a"]), (OTHER, [b"a"]), (ONE, [b"b"]), (ONE, [b"a", b"a"]), (ONE, [])]
)
def test_anything_else_is_asked_for(model: Any, images: list[bytes]) -> None:
    cache, ask = Cache(9), Asked()
    get(cache, ONE, [b"a"], ask)
    get(cache, model, images, ask)
    assert ask.times == 2


def test_parts_of_images_do_not_run_together() -> None:
    cache, ask = Cache(9), Asked()
    get(cache, ONE, [b"ab", b"c"], ask)
    get(cache, ONE, [b"a", b"bc"], ask)
    assert ask.times == 2


def test_the_one_that_was_not_asked_for_longest_goes() -> None:
    cache, ask = Cache(2), Asked()
    for image in (b"a", b"b", b"a", b"c"):
        get(cache, ONE, [image], ask)
    assert ask.times == 3
    get(cache, ONE, [b"a"], ask)
    assert ask.times == 3
    get(cache, ONE, [b"b"], ask)
    assert ask.times == 4


def test_off_it_keeps_nothing() -> None:
    cache, ask = Cache(0), Asked()
    for _ in range(3):
        get(cache, ONE, [b"a"], ask)
    assert ask.times == 3


def test_errors_are_not_remembered() -> None:
    cache, ask = Cache(9), Asked()

    async def fail() -> Any:
        raise UpstreamBusy("503")

    with pytest.raises(UpstreamBusy):
        get(cache, ONE, [b"a"], fail)
    assert get(cache, ONE, [b"a"], ask)[0]["number"] == 1
