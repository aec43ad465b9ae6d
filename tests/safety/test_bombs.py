"""Small files that would become large, slow or somebody else's: refused before they cost anything."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest

from services.catalogue.paths import kind_of
from services.config_file import MOST_BYTES as MOST_CONFIG
from services.config_file import read_config
from services.labels.formats import READERS, open_labels
from services.labels.problems import CODES
from services.labels.record import ImageRecord
from services.state import Problem
from tests.support.dataset_house import BOX, House, picture, voc

MOST_SECONDS, MOST_BYTES = 20.0, 60 * 2**20


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """Every test of this file ends soon: what is found here took minutes, or for ever."""
    started = time.process_time()
    yield
    assert time.process_time() - started < MOST_SECONDS


@pytest.fixture
def small() -> Iterator[None]:
    """And with little memory, which costs time to measure."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_BYTES


ENTITY = "http://127.0.0.1:9/never"
XML_BODY = "<annotation><object><name>{}</name></object></annotation>"
XML_BOMBS = {
    "billion laughs": '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
    + XML_BODY.format("&i;"),
    "quadratic": f'<!DOCTYPE a [<!ENTITY a "{"a" * 100_000}">]>' + XML_BODY.format("&a;" * 10_000),
    "external file": '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + XML_BODY.format("&a;"),
    "external address": f'<!DOCTYPE a [<!ENTITY a SYSTEM "{ENTITY}">]>' + XML_BODY.format("&a;"),
    "parameter entity": f'<!DOCTYPE a [<!ENTITY % a SYSTEM "{ENTITY}"> %a;]>' + XML_BODY.format("x"),
    "external definition": f'<!DOCTYPE a SYSTEM "{ENTITY}">' + XML_BODY.format("x"),
    "definition alone": "<!DOCTYPE annotation>" + XML_BODY.format("x"),
    "unknown entity": XML_BODY.format("&nobody;"),
    "unknown encoding": '<?xml version="1.0" encoding="utf-7"?>' + XML_BODY.format("x"),
    "deep": "<annotation>" + "<object>" * 50_000,
    "wide": "<annotation " + " ".join(f'a{n}="1"' for n in range(20_000)) + "/>",
}


def read(data: bytes, file: str = "labels/x", limit: int = 1 << 30) -> list[ImageRecord | Problem]:
    chunks = (data[start : start + 65536] for start in range(0, len(data), 65536))
    return list(open_labels(file, len(data), limit, chunks).readings)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", XML_BOMBS)
def test_xml(name: str, encoding: str) -> None:
    for root in ("annotation", "annotations"):
        found = read(XML_BOMBS[name].replace("annotation>", f"{root}>").encode(encoding), "labels/x.xml")
        for each in found:
            text = each.found if isinstance(each, Problem) else str(each)
            assert "root:" not in text, "nothing of the machine's files"
            assert len(text) < 100_000
        if name not in {"deep", "wide"}:
            assert all(isinstance(f, Problem) and f.code in CODES for f in found), found


YAML_BOMBS = {
    "aliases": "a: &a [x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "merge": "a: &a {x: 1}\nb:\n  <<: *a\n",
    "itself": "&a [*a]",
    "in a key": "? &a [x]\n: *a\n",
    "object": "classes: !!python/object/apply:os.system ['true']",
    "own tag": "classes: !mine [a]",
    "deep": "[" * 5_000 + "]" * 5_000,
    "deep blocks": "".join(f"{' ' * n}a:\n" for n in range(300)),
    "large": "# " + "x" * MOST_CONFIG,
    "several documents": "paused: true\n---\npaused: false\n",
    "long number": f"validation_share: {'9' * 20_000}",
    "base 60": "validation_share: 1:1:1:1:1:1:1:1:1",
    "binary": "task: !!binary aGVsbG8=",
    "set": "classes: !!set {a, b}",
    "time": "quiet_period_seconds: 2026-02-30",
}


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_loop_yaml(name: str) -> None:
    config, problems = read_config(YAML_BOMBS[name].encode(), "loop.yaml")
    assert config is None
    assert {p.code for p in problems} == {"config-invalid"}
    assert all(len(p.found) < 300 and len(p.expected) < 500 for p in problems)


def test_yaml_in_a_loop_leaves_the_last_good_one() -> None:
    house = House()
    house.labelled(10)
    house.put("loop.yaml", YAML_BOMBS["aliases"].encode())
    assert house.settle().catalogue.labelled == 10


@pytest.mark.parametrize("name", YAML_BOMBS)
def test_yaml_beside_labels(name: str) -> None:
    """Where YOLO's data.yaml is read, it is no better than loop.yaml; where not, it is a file that nobody knows."""
    house = House()
    house.labelled(10)
    house.put("labels/data.yaml", f"names:\n{YAML_BOMBS[name]}".encode())
    house.put("images/data.yaml", YAML_BOMBS[name].encode())
    found = house.settle().catalogue
    assert found.labelled == 10
    assert {p.code for p in found.problems} <= CODES.keys()


def png(width: int, height: int, body: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", body or zlib.compress(bytes(1000))), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 1 << 20, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *([0] * 6))
    )


def tiff(width: int, height: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 1)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xc0"
        + struct.pack(">H", len(frame) + 2)
        + frame
        + b"\xff\xd9"
    )


def webp(width: int, height: int) -> bytes:
    body = (
        b"VP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


IMAGE_BOMBS: dict[str, Callable[[], bytes]] = {
    "png 60,000 x 60,000": lambda: png(60_000, 60_000),
    "png of the largest sides": lambda: png(2**31 - 1, 2**31 - 1),
    "png of compressed nothing": lambda: png(60_000, 60_000, zlib.compress(bytes(20_000_000), 9)),
    "png without sides": lambda: png(0, 0),
    "bmp": lambda: bmp(60_000, 60_000),
    "bmp upside down": lambda: bmp(60_000, -60_000),
    "tiff": lambda: tiff(60_000, 60_000),
    "tiff of the largest sides": lambda: tiff(2**32 - 1, 2**32 - 1),
    "jpeg 65,000 x 65,000": lambda: jpeg(65_000, 65_000),
    "webp 16,384 x 16,384": lambda: webp(16_384, 16_384),
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", IMAGE_BOMBS)
def test_images_are_refused_by_the_size_that_they_declare(name: str) -> None:
    house = House()
    house.labelled(10)
    house.put("images/bomb.png", IMAGE_BOMBS[name]())
    house.put("images/bomb.xml", voc(("nut", BOX), size=(0, 0)))
    found = house.settle().catalogue
    assert found.labelled == 10
    [problem] = [p for p in found.problems if p.severity == "error"]
    assert problem.code in {"image-too-many-pixels", "image-unreadable"}
    assert problem.file == "images/bomb.png"
    if problem.code == "image-too-many-pixels":
        assert "VISIONLOOP_MAX_IMAGE_PIXELS" in problem.expected


@pytest.mark.parametrize("name", ["png 60,000 x 60,000", "bmp", "tiff", "jpeg 65,000 x 65,000"])
def test_the_size_is_what_refuses_them(name: str) -> None:
    house = House()
    house.put("images/bomb.png", IMAGE_BOMBS[name]())
    house.step()
    assert [p.code for p in house.state.catalogue.problems] == ["image-too-many-pixels"]


def test_an_image_file_over_the_limit_is_not_read() -> None:
    house = House()
    settings = house.fakes.cloud().settings
    house.put("images/large.png", picture(1) + bytes(settings.max_image_bytes))
    assert house.calls_of_a_look() == ["list"]
    [found] = house.state.catalogue.problems
    assert (found.code, "VISIONLOOP_MAX_IMAGE_BYTES" in found.expected) == ("image-too-large", True)


@pytest.mark.parametrize(
    "file", ["labels/a.json", "labels/a.xml", "labels/a.jsonl", "labels/a.manifest", "labels/a.csv", "images/a.txt"]
)
def test_a_label_file_over_the_limit_names_the_setting_and_is_not_read(file: str) -> None:
    assert kind_of(file, 9) == "label"

    def never() -> Iterator[bytes]:
        raise AssertionError("nothing of it is read")
        yield b""

    [found] = open_labels(file, 101, 100, never()).readings
    assert isinstance(found, Problem)
    assert found.code == "label-file-too-large"
    assert "VISIONLOOP_MAX_LABEL_FILE_BYTES" in found.expected


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@pytest.mark.parametrize("head", [b"", b'{"a": "', b"image,label\na,"])
def test_one_endless_line_ends(reader: object, head: bytes) -> None:
    """Twenty megabytes without an end of line, number or text: each reader gives up within its own limit."""

    def endless() -> Iterator[bytes]:
        yield head
        yield from (b"1" * 65536 for _ in range(320))

    for each in reader.read("labels/x", endless()):  # type: ignore[attr-defined]
        assert not isinstance(each, Problem) or each.code in CODES
