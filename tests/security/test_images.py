"""Images that are more than they seem are refused by what they declare, whichever way they come in: none is decoded."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.support.in_process import Host, faked_host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with faked_host(tmp_path_factory.mktemp("host")) as (found, _):
        yield found


@pytest.fixture(autouse=True)
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("an image is decoded")

    monkeypatch.setattr(Image, "open", never)


def png(width: int, height: int, body: bytes) -> bytes:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BOMBS = {
    "pixels": png(60_000, 60_000, zlib.compress(bytes(1000))),
    "largest sides": png(2**31 - 1, 2**31 - 1, b""),
    "compressed nothing": png(60_000, 60_000, zlib.compress(bytes(20_000_000), 9)),
    "bytes": png(9, 9, bytes(20 * 2**20 + 1)),
}


def ways(image: bytes) -> dict[str, dict[str, Any]]:
    text = base64.b64encode(image).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
    return {
        "loops/cards/predict": {"content": image, "headers": {"content-type": "image/png"}},
        "loops/cards/predict?render=png": {"content": image},
        "loops/cards/predict?top_k=1": {"files": {"image": image}},
        "loops/cards/predict?top_k=2": {"json": {"image": text}},
        "loops/cards/predict?top_k=3": {"json": {"images": [text]}},
        "v2/models/cards/infer": {"json": {"inputs": [tensor]}},
    }


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_413_and_is_not_decoded(host: Host, bomb: str) -> None:
    for path, asked in ways(BOMBS[bomb]).items():
        answer = host.ask("POST", f"/api/{path}", **asked)
        assert answer.status_code == 413, (path, answer.content)
        assert "VISIONLOOP_MAX_IMAGE" in answer.json()["detail"]
