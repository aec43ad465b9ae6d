"""The header reader against Pillow's reading of the same bytes, and against hostile ones."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.catalogue.images import orientation_of, read_facts
from services.inference.header import Broken, is_heif, read_header
from tests.support.predictions import picture
from tests.support.timing import quickest


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(1, 300), st.integers(1, 300), st.integers(1, 8), st.booleans()
)
def test_it_reads_what_pillow_reads(kind: str, width: int, height: int, orientation: int, small: bool) -> None:
    image, out, exif = Image.new("RGB", (width, height)), io.BytesIO(), Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", orientation
    options = {"JPEG": {"progressive": small}, "PNG": {}, "WEBP": {"lossless": small}}[kind]
    image.save(out, kind, exif=exif, **options)
    data = out.getvalue()
    facts, found = read_facts(lambda o, n: data[o : o + n], len(data)), read_header(data)
    assert found is not None
    shown = (found.height, found.width) if found.orientation >= 5 else (found.width, found.height)
    assert (*shown, found.orientation) == (facts.width, facts.height, orientation_of(data))


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"method": 0, "quality": 1}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_webp_has_its_size(mode: str, options: dict[str, object]) -> None:
    out = io.BytesIO()
    Image.new(mode, (513, 77)).save(out, "WEBP", **options)
    assert read_header(out.getvalue()) == (513, 77, 1)


def test_big_endian_exif_is_read_too() -> None:
    exif = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    out = io.BytesIO()
    Image.new("RGB", (8, 4)).save(out, "JPEG", exif=b"Exif\0\0" + exif)
    assert read_header(out.getvalue()) == (8, 4, 6)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"BM", b"\xff\xd8", b"RIFF\0\0\0\0WAVE"])
def test_what_is_another_format_is_none_of_these(data: bytes) -> None:
    assert read_header(data) is None


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"avif"])
def test_photographs_of_phones_are_known(brand: bytes) -> None:
    assert is_heif(b"\0\0\0\x18ftyp" + brand)
    assert not is_heif(b"\0\0\0\x18ftypmp42")


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(0, 200), st.binary(max_size=30), st.booleans())
def test_damage_is_broken_or_a_header(kind: str, place: int, damage: bytes, cut: bool) -> None:
    data = picture(40, 30, kind, orientation=6)
    with contextlib.suppress(Broken):
        found = read_header(data[:place] + damage + (b"" if cut else data[place + len(damage) :]))
        assert found is None or (found.width > 0 and found.height > 0 and 1 <= found.orientation <= 8)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8\xff" + b"\xff" * 20_000_000,
        b"\xff\xd8" + b"\xff\xd0" * 10_000_000,
        b"\xff\xd8\xff" + b"\0" * 20_000_000,
        picture(8, 8, "PNG")[:33] + b"\0\0\0\0abcd\0\0\0\0" * 1_600_000,
    ],
    ids=["filling", "restarts", "zeros", "chunks"],
)
def test_hostile_bytes_take_no_time(body: bytes) -> None:
    def read() -> None:
        with contextlib.suppress(Broken):
            read_header(body)

    assert quickest(read, 0.2) < 0.2


def test_no_decoder_is_imported() -> None:
    code = (
        "import sys, services.inference.body, services.inference.header as h\n"
        f"h.read_header({picture(9, 9)!r})\n"
        "sys.exit(' '.join(m for m in ('PIL', 'numpy', 'azure') if m in sys.modules) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_damaged_exif_block_leaves_the_image_as_it_is() -> None:
    data = picture(40, 30, orientation=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(data.replace(b"II*\0", b"II*\1").replace(b"MM\0*", b"MM\1*")) == (40, 30, 1)
