from __future__ import annotations

import base64
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.labels import masks
from services.labels.json_stream import members
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import LABELME, SAMPLES
from tests.support.label_files import damaged, in_chunks, labels, loosely, problems, read, records, sane


def file(*shapes: Any, **more: Any) -> list[Reading]:
    return read(json.dumps(LABELME | {"shapes": list(shapes)} | more).encode(), expect="labelme")


def shape(kind: str, *points: Any, **more: Any) -> dict[str, Any]:
    return {"label": "nut", "points": list(points), "shape_type": kind, "group_id": None, "flags": {}} | more


def test_rectangles_circles_and_the_parts_of_one_object() -> None:
    found = read(SAMPLES["labelme"])
    (record,) = records(found)
    nut, bolt, washer = record.labels
    assert nut == RawLabel("nut", (10.0, 12.0, 40.5, 30.25), "shapes[0]")
    parts = ((1.0, 2.0, 20.0, 2.0, 10.0, 20.5), (30.0, 2.0, 40.0, 2.0, 35.0, 10.0))
    assert bolt == RawLabel("bolt", (1.0, 2.0, 40.0, 20.5), "shapes[1]", polygons=parts)
    assert (washer.label, washer.place) == ("washer", "shapes[3]")
    assert washer.box == pytest.approx((15, 15, 25, 25))
    assert (record.image, record.width, record.height) == ("..\\images\\a.jpg", 64, 48)


def test_only_outlines_of_one_class_and_group_are_joined() -> None:
    points = [1, 2], [3, 4], [5, 1]
    found = file(
        shape("polygon", *points, group_id=1),
        shape("polygon", *points, group_id=1, label="bolt"),
        shape("polygon", *points, group_id=2),
        shape("rectangle", *points[:2], group_id=1),
        shape("rectangle", *points[:2], group_id=1),
        shape("polygon", *points),
        shape("polygon", *points),
    )
    assert len(labels(found)) == 7


def test_an_oriented_rectangle_is_a_polygon_of_its_four_corners() -> None:
    corners = [8, 2], [14, 8], [8, 14], [2, 8]
    assert labels(file(shape("oriented_rectangle", *corners))) == [
        RawLabel("nut", (2, 2, 14, 14), "shapes[0]", polygons=((8, 2, 14, 8, 8, 14, 2, 8),))
    ]
    assert problems(file(shape("oriented_rectangle", *corners[:3]))) == [("box-invalid", "shapes[0].points")]


def test_old_files_without_shape_type_have_polygons() -> None:
    old = shape("", [1, 2], [3, 4], [5, 1])
    del old["shape_type"], old["group_id"]
    assert labels(file(old))[0].polygons == ((1, 2, 3, 4, 5, 1),)


def picture(*rows: str) -> str:
    """A PNG in base64 as LabelMe writes it: 1 where a row has an x."""
    image = Image.new("L", (len(rows[0]), len(rows)))
    image.putdata([int(pixel == "x") for row in rows for pixel in row])
    out = io.BytesIO()
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_a_mask_is_outlined_within_its_box() -> None:
    found = file(shape("mask", [10, 20], [12, 21], mask=picture(".xx", ".x.")))
    (label,) = labels(found)
    assert label.box == (11, 20, 13, 22)
    assert len(label.polygons) == 1
    assert set(zip(label.polygons[0][::2], label.polygons[0][1::2], strict=True)) == {
        *{(11, 20), (13, 20), (13, 21), (12, 21), (12, 22), (11, 22)}
    }


@pytest.mark.parametrize("colours", ["1", "RGB", "P", "LA"])
def test_a_mask_may_be_any_png(colours: str) -> None:
    out = io.BytesIO()
    Image.new(colours, (3, 2), 255).save(out, "PNG")
    (label,) = labels(file(shape("mask", [10, 20], [12, 21], mask=base64.b64encode(out.getvalue()).decode())))
    assert label.box == (10, 20, 13, 22)
    assert sorted(label.polygons[0]) == [10, 10, 13, 13, 20, 20, 22, 22]


def test_of_a_mask_without_its_picture_the_box_is_known() -> None:
    assert labels(file(shape("mask", [10, 20], [19, 24], mask=None))) == [
        RawLabel("nut", (10, 20, 20, 25), "shapes[0]")
    ]


@pytest.mark.parametrize(
    "mask",
    [
        picture("xxx"),
        picture("...", "..."),
        picture("xxx", "xxx")[:64],
        "iVBORw0KGgo=",
        "no base64",
        "ü",
        "",
        7,
        base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02junk").decode(),
    ],
)
def test_a_broken_mask_is_told(mask: Any) -> None:
    assert problems(file(shape("mask", [10, 20], [12, 21], mask=mask))) == [("polygon-invalid", "shapes[0].mask")]


def test_a_mask_that_declares_too_many_pixels_is_not_decoded() -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (100_000).to_bytes(4, "big") * 2
    huge = shape("mask", [0, 0], [99_999, 99_999], mask=base64.b64encode(header).decode())
    assert problems(file(huge)) == [("polygon-invalid", "shapes[0].mask")]


def test_a_mask_of_noise_is_not_outlined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "MOST_COUNTS", 5)
    assert labels(file(shape("mask", [0, 0], [3, 0], mask=picture("x.x."))))
    assert problems(file(shape("mask", [0, 0], [5, 0], mask=picture("x.x.x.")))) == [
        ("polygon-invalid", "shapes[0].mask")
    ]


def test_flags_are_classes_of_an_image_without_shapes() -> None:
    flags = {"nut": True, "bolt": False, "washer": True, "odd": "true"}
    assert [(label.label, label.box) for label in labels(file(flags=flags))] == [("nut", None), ("washer", None)]
    assert [label.label for label in labels(file(shape("rectangle", [1, 2], [3, 4]), flags=flags))] == ["nut"]
    assert problems(file(flags={"": True})) == [("class-invalid", "flags")]


@pytest.mark.parametrize("flags", [{}, {"blurred": False}, None, []])
def test_an_image_without_shapes_and_flags_is_a_negative(flags: Any) -> None:
    assert file(flags=flags) == [ImageRecord("..\\images\\a.jpg", "shapes", (), 64, 48)]


@pytest.mark.parametrize(
    ("bad", "code", "place"),
    [
        (7, "class-invalid", "shapes[0].label"),
        (shape("rectangle", [1, 2], [3, 4], label=None), "class-invalid", "shapes[0].label"),
        (shape("rectangle", [1, 2]), "box-invalid", "shapes[0].points"),
        (shape("rectangle", [1, 2], [3, "4"]), "box-invalid", "shapes[0].points"),
        (shape("rectangle", [1, 2], [3, 1e300]), "box-invalid", "shapes[0].points"),
        (shape("circle", [1, 2]), "box-invalid", "shapes[0].points"),
        (shape("polygon", [1, 2], [3, 4]), "polygon-invalid", "shapes[0].points"),
        (shape("polygon", [1, 2], [3, 4], [5]), "polygon-invalid", "shapes[0].points"),
        (shape("polygon") | {"points": None}, "polygon-invalid", "shapes[0].points"),
        (shape("linestrip", [1, 2], [3, 4]), "shape-unsupported", "shapes[0].shape_type"),
        (shape("point", [1, 2]), "shape-unsupported", "shapes[0].shape_type"),
        (shape("polygon", [1, 2]) | {"shape_type": [1]}, "shape-unsupported", "shapes[0].shape_type"),
    ],
)
def test_one_bad_shape_is_quarantined_and_the_rest_kept(bad: Any, code: str, place: str) -> None:
    found = file(bad, shape("rectangle", [1, 2], [3, 4]))
    assert problems(found) == [(code, place)]
    assert [(r.broken, [label.place for label in r.labels]) for r in records(found)] == [(1, ["shapes[1]"])]


@pytest.mark.parametrize("shapes", [3, {}, "x"])
def test_a_file_without_the_list_of_shapes(shapes: Any) -> None:
    assert problems(read(json.dumps(LABELME | {"shapes": shapes}).encode())) == [("labelme-structure", "")]
    assert problems(read(b'{"imagePath": "a.jpg"}')) == [("labelme-structure", "")]


@pytest.mark.parametrize("cut", [20, 400, -2])
def test_half_a_file_is_quarantined_as_a_whole(cut: int) -> None:
    found = read(SAMPLES["labelme"][:cut])
    assert [code for code, _ in problems(found)] == ["json-invalid"] or cut == 20
    assert records(found) == []


@given(st.text(), st.integers(1, 7))
def test_a_text_of_any_content_is_stepped_over(text: str, cut: int) -> None:
    data = json.dumps({"a": text, "b": 1, "c": [2]}).encode()
    found = list(members(in_chunks(data, cut), skip=frozenset({"a", "b", "c"})))
    assert found == [("a", -1, None), ("b", -1, 1), ("c", -1, None), ("c", 0, 2)]


@pytest.mark.parametrize("text", ['{"imageData": "abc', '{"imageData": "abc\\', '{"imageData": "abc\\"}'])
def test_a_text_without_end_is_told(text: str) -> None:
    assert problems(read(text.encode())) == [("json-invalid", "imageData")]


def test_a_picture_of_any_size_is_not_held() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"imageData": "'
        for _ in range(40):
            yield b"QUJD" * (1 << 16)
        yield b'", "shapes": []}'

    tracemalloc.start()
    found = list(members(chunks(), skip=frozenset({"imageData"})))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [("imageData", -1, None), ("shapes", -1, None)]
    assert peak < 4 * 2**20


@given(loosely(LABELME))
def test_any_json_gives_records_and_known_problems_only(document: Any) -> None:
    sane(read(json.dumps(document).encode(), cut=1000))


@given(damaged(SAMPLES["labelme"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=1000))
