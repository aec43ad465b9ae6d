from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels import xml_stream
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import CVAT, SAMPLES
from tests.support.label_files import damaged, labels, problems, read, records, sane

BOX = '<box label="nut" occluded="0" xtl="1" ytl="2" xbr="3" ybr="4"/>'


def image(*shapes: str, more: str = "") -> list[Reading]:
    listed = "".join(
        f'<image id="0" name="a.jpg" width="640" height="480">{s}</image>' for s in ("".join(shapes), more)
    )
    return read(f"<annotations><version>1.1</version>{listed}</annotations>".encode(), expect="cvat")


def only(shape: str) -> RawLabel:
    (found,) = labels(image(shape))
    return found


def test_boxes_polygons_and_a_negative_and_an_image_that_nobody_has_opened() -> None:
    points = (10.0, 20.0, 210.0, 20.0, 110.0, 170.0)
    expected = (
        RawLabel("nut", (10.0, 20.5, 210.0, 170.0), "image[1]/box[1]"),
        RawLabel("bolt", (10.0, 20.0, 210.0, 170.0), "image[1]/polygon[1]", polygons=(points,)),
        RawLabel("bolt", (1.0, 2.0, 3.0, 4.0), "image[1]/box[2]"),
    )
    assert read(CVAT.encode()) == [
        ImageRecord("belt/a.jpg", "image[1]", expected, 640, 480),
        ImageRecord("belt/c.jpg", "image[3]", (), 640, 480),
    ]


def test_tags_are_classes_and_so_is_negative_where_no_image_has_a_shape() -> None:
    found = image('<tag label="negative"/>', more='<tag label="good"/><tag label="new"/>')
    assert [[(label.label, label.box) for label in r.labels] for r in records(found)] == [
        [("good", None), ("new", None)],
        [("negative", None)],
    ]


def test_an_image_with_a_shape_and_the_tag_negative_keeps_both() -> None:
    assert [label.label for label in labels(image('<tag label="negative"/>', BOX))] == ["negative", "nut"]


def test_a_box_is_rotated_about_its_middle() -> None:
    found = image('<box label="nut" xtl="100" ytl="100" xbr="200" ybr="120" rotation="90.0"/>')
    assert problems(found) == [("box-rotated", "image[1]/box[1]")]
    (label,) = labels(found)
    assert label.box == pytest.approx((140, 60, 160, 160))
    assert label.polygons[0] == pytest.approx((160, 60, 160, 160, 140, 160, 140, 60))


def test_ellipses() -> None:
    assert only('<ellipse label="nut" cx="50" cy="60" rx="10" ry="20"/>').box == pytest.approx((40, 40, 60, 80))
    turned = only('<ellipse label="nut" cx="50" cy="60" rx="10" ry="20" rotation="90"/>')
    assert turned.box == pytest.approx((30, 50, 70, 70))


def test_a_mask_is_outlined_row_by_row_within_its_box() -> None:
    """Three pixels across, two down: the first row's last two, the second row's first."""
    found = only('<mask label="nut" source="manual" rle="1, 3, 2" left="10" top="20" width="3" height="2"/>')
    assert found.box == (10, 20, 13, 22)
    assert {(p[i], p[i + 1]) for p in found.polygons for i in range(0, len(p), 2)} == {
        *{(11, 20), (13, 20), (13, 21), (11, 21)},
        *{(10, 21), (11, 21), (11, 22), (10, 22)},
    }


@pytest.mark.parametrize(
    ("shape", "code", "place"),
    [
        ('<box xtl="1" ytl="2" xbr="3" ybr="4"/>', "class-invalid", "box[1]/@label"),
        ('<tag label=" "/>', "class-invalid", "tag[1]/@label"),
        ('<box label="nut" xtl="1" ytl="2" xbr="3"/>', "box-invalid", "box[1]"),
        ('<box label="nut" xtl="1" ytl="nan" xbr="3" ybr="4"/>', "box-invalid", "box[1]"),
        ('<box label="nut" xtl="1" ytl="1e99" xbr="3" ybr="4"/>', "box-invalid", "box[1]"),
        ('<box label="nut" xtl="1" ytl="2" xbr="3" ybr="4" rotation="x"/>', "box-invalid", "box[1]"),
        ('<polygon label="nut"/>', "polygon-invalid", "polygon[1]/@points"),
        ('<polygon label="nut" points="1,2;3"/>', "polygon-invalid", "polygon[1]/@points"),
        ('<polygon label="nut" points="1,2;3,x"/>', "polygon-invalid", "polygon[1]/@points"),
        ('<ellipse label="nut" cx="1" cy="2" rx="3"/>', "box-invalid", "ellipse[1]"),
        ('<mask label="nut" rle="1, 3" left="1" top="2" width="3" height="2"/>', "polygon-invalid", "mask[1]/@rle"),
        ('<mask label="nut" rle="6" left="1" top="2" width="3" height="2"/>', "polygon-invalid", "mask[1]/@rle"),
        ('<mask label="nut" rle="1, -3" left="1" top="2" width="3" height="2"/>', "polygon-invalid", "mask[1]/@rle"),
        ('<mask label="nut" rle="1, 3, 2" width="3" height="2"/>', "polygon-invalid", "mask[1]/@rle"),
        ('<points label="nut" points="1,2"/>', "shape-unsupported", "points[1]"),
        ('<polyline label="nut" points="1,2;3,4"/>', "shape-unsupported", "polyline[1]"),
        ('<cuboid label="nut"/>', "shape-unsupported", "cuboid[1]"),
        ('<skeleton label="nut"><points label="1" points="1,2"/></skeleton>', "shape-unsupported", "skeleton[1]"),
    ],
)
def test_one_bad_shape_is_quarantined_and_the_rest_kept(shape: str, code: str, place: str) -> None:
    found = image(shape, BOX)
    assert problems(found) == [(code, f"image[1]/{place}")]
    assert [(r.broken, [label.label for label in r.labels]) for r in records(found)] == [(1, ["nut"])]


def test_an_image_without_name_is_left_out() -> None:
    found = read(f"<annotations><image>{BOX}</image><image name='a.jpg'>{BOX}</image></annotations>".encode())
    assert problems(found) == [("cvat-structure", "image[1]/@name")]
    assert [(r.image, r.width) for r in records(found)] == [("a.jpg", 0)]


@pytest.mark.parametrize("inside", ["", "<version>1.1</version>", '<track id="0" label="nut"></track>'])
def test_a_file_without_images_is_told(inside: str) -> None:
    assert problems(read(f"<annotations>{inside}</annotations>".encode())) == [("cvat-structure", "")]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (CVAT.encode()[:900], "line 18"),
        (b"<annotations></annotation>", "line 1"),
        (b'<?xml version="1.0" encoding="no-such"?><annotations/>', ""),
        (b"<annotations><image name='&x;'/></annotations>", "line 1"),
        (b"<annotations>" + b"<image>" * 100_000, ""),
    ],
)
def test_what_is_no_xml_is_quarantined_as_a_whole(data: bytes, place: str) -> None:
    found = read(data, cut=1000)
    assert [code for code, _ in problems(found)] == ["xml-invalid"]
    assert problems(found)[0][1].startswith(place)
    assert records(found) == []


def test_entities_are_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><annotations><image name="&b;"/></annotations>'
    assert [code for code, _ in problems(read(bomb))] == ["xml-invalid"]


def test_an_image_that_is_too_large_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_stream, "MOST_BYTES", 2000)
    assert problems(image(BOX * 100)) == [("xml-invalid", "")]
    assert problems(image(*[BOX] * 10, more=BOX * 10)) == []
    monkeypatch.setattr(xml_stream, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(xml_stream, "MOST_ELEMENTS", 50)
    assert problems(image(BOX * 100)) == [("xml-invalid", "")]


def test_a_large_file_needs_little_memory() -> None:
    import tracemalloc

    def chunks() -> Iterator[bytes]:
        yield b"<annotations>"
        for _ in range(12):
            yield b'<image name="a.jpg"><box label="nut" xtl="1" ytl="2" xbr="3" ybr="4"/></image>' * 1000
        yield b"</annotations>"

    tracemalloc.start()
    count = sum(1 for _ in xml_stream.children(chunks()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 12_000
    assert peak < 6 * 2**20


names = st.sampled_from(["label", "xtl", "ytl", "xbr", "ybr", "points", "rle", "left", "top", "width", "height", "cx"])
texts = st.sampled_from(["1", "2", "nut", "1,2;3,4;5,6", "1,3,2", "", "1e400", "nan", "-1", "9" * 12]) | st.text(
    st.characters(codec="utf-8", exclude_characters='<&"\r', exclude_categories=["Cc", "Cs", "Cn"]), max_size=5
)
shapes = st.builds(
    lambda tag, given: f"<{tag} {' '.join(f'{name}={quoteattr(text)}' for name, text in given.items())}/>",
    st.sampled_from(["box", "polygon", "ellipse", "mask", "tag", "points"]),
    st.dictionaries(names, texts, max_size=6),
)


@given(st.lists(shapes, max_size=4))
def test_any_shapes_give_records_and_known_problems_only(found: list[str]) -> None:
    sane(image(*found))


@given(damaged(SAMPLES["cvat"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=1000))
