from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels.csv_layout import layout_of
from services.labels.csv_table import CsvReader
from services.labels.formats import open_labels
from services.labels.options import DEFAULT, Options
from services.labels.record import ImageRecord, RawLabel, Reading
from services.state import Problem
from tests.support.label_files import in_chunks, labels, problems, records, sane

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
TABLE = HEADER + "a.jpg,640,480,nut,10,20,210,170\nb.jpg,640,480,bolt,1,2,3,4.5\na.jpg,640,480,bolt,0,0,9,9\n"
GOOGLE = """TRAIN,gs://folder/image1.png,car,0.1,0.1,,,0.3,0.3,,
TRAIN,gs://folder/image1.png,bike,.7,.6,,,.8,.9,,
UNASSIGNED,gs://folder/im2.png,car,0.1,0.1,0.2,0.1,0.2,0.3,0.1,0.3
TEST,gs://folder/im3.png,,,,,,,,,
"""
OPEN_IMAGES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
000026e7ee790996,freeform,/m/07j7r,1,0.071905,0.145346,0.206591,0.391306,0,1,1,0,0
000026e7ee790996,freeform,/m/07j7r,0,0.1,0.2,0.3,0.4,0,1,1,0,0
"""


def read(text: str | bytes, options: Options = DEFAULT, cut: int = 9) -> list[Reading]:
    data = text.encode() if isinstance(text, str) else text
    opened = open_labels("labels/x.csv", len(data), 1 << 30, in_chunks(data, cut), options)
    assert opened.format in {"csv", ""}
    return list(opened.readings)


def box(label: str, corners: tuple[float, float, float, float], line: int, *, shares: bool = False) -> RawLabel:
    return RawLabel(label, corners, f"line {line}", shares=shares)


EXPECTED = [
    ImageRecord("a.jpg", "line 2", (box("nut", (10, 20, 210, 170), 2), box("bolt", (0, 0, 9, 9), 4)), 640, 480),
    ImageRecord("b.jpg", "line 3", (box("bolt", (1, 2, 3, 4.5), 3),), 640, 480),
]


def test_tensorflow_s_columns_grouped_by_image() -> None:
    assert read(TABLE) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace(",", ";").replace("4.5", "4,5"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", " | "),
        TABLE.replace("a.jpg", '"a.jpg"').replace("nut", '"nut"'),
        TABLE.encode("utf-16"),
        TABLE.replace("filename", "Path").replace("class", "Label").replace("min", "_min").replace("max", "_max"),
    ],
    ids=["bom", "crlf", "semicolons", "tabs", "bars", "quotes", "utf-16", "other names"],
)
def test_as_spreadsheets_write_it(text: str | bytes) -> None:
    assert read(text) == EXPECTED


def test_columns_come_in_any_order_and_others_do_no_harm() -> None:
    lines = ["id,ymax,xmax,ymin,xmin,class,note,filename", '7,170,210,20,10,nut,"a, ""b""",dir/a.jpg']
    assert read("\n".join(lines)) == [ImageRecord("dir/a.jpg", "line 2", (box("nut", (10, 20, 210, 170), 2),))]


def test_google_s_columns() -> None:
    assert read(GOOGLE) == [
        ImageRecord(
            "folder/image1.png",
            "line 1",
            (box("car", (0.1, 0.1, 0.3, 0.3), 1, shares=True), box("bike", (0.7, 0.6, 0.8, 0.9), 2, shares=True)),
        ),
        ImageRecord("folder/im2.png", "line 3", (box("car", (0.1, 0.1, 0.2, 0.3), 3, shares=True),)),
        ImageRecord("folder/im3.png", "line 4"),
    ]
    without_set = "\n".join(line.partition(",")[2] for line in GOOGLE.splitlines())
    assert read(without_set) == read(GOOGLE)
    assert labels(read("TEST,gs://b/a.jpg,red,round\n,gs://b/b.jpg,red\n")) == [
        RawLabel("red", None, "line 1"),
        RawLabel("round", None, "line 1"),
        RawLabel("red", None, "line 2"),
    ]


def test_open_images_are_in_shares_and_what_is_not_there_is_no_negative() -> None:
    corners = (0.071905, 0.206591, 0.145346, 0.391306)
    label = RawLabel("/m/07j7r", corners, "line 2", is_crowd=True, shares=True)
    assert read(OPEN_IMAGES) == [ImageRecord("000026e7ee790996", "line 2", (label,), broken=1)]


def test_a_table_of_classes() -> None:
    assert read("image,label\na.jpg,nut\nb.jpg,bolt\na.jpg,round\nc.jpg,\n") == [
        ImageRecord("a.jpg", "line 2", (RawLabel("nut", None, "line 2"), RawLabel("round", None, "line 4"))),
        ImageRecord("b.jpg", "line 3", (RawLabel("bolt", None, "line 3"),)),
        ImageRecord("c.jpg", "line 5"),
    ]


def test_names_of_columns_may_have_blanks() -> None:
    text = "Image Path,class-name,x min,y min,x max,y max\na.jpg,nut,1,2,3,4\n"
    assert labels(read(text)) == [box("nut", (1, 2, 3, 4), 2)]


def test_boxes_with_a_width_and_a_height() -> None:
    """As makesense.ai has them."""
    text = "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
    assert read(text + "nut,10,20,200,150,a.jpg,640,480\n") == [
        ImageRecord("a.jpg", "line 2", (box("nut", (10, 20, 210, 170), 2),), 640, 480)
    ]
    assert problems(read(text + "nut,10,20,,150,a.jpg,640,480\n")) == [("box-invalid", "line 2")]
    assert read("nut,10,20,200,150,a.jpg,640,480\n") == [
        ImageRecord("a.jpg", "line 1", (box("nut", (10, 20, 210, 170), 1),), 640, 480)
    ]


@pytest.mark.parametrize("columns", ["x,y,w,h", "bbox", "x_center,y_center,width,height", "Polygon", "x,y"])
def test_a_table_with_boxes_of_an_unknown_kind_is_none_of_classes(columns: str) -> None:
    found = read(f"image,label,{columns}\na.jpg,nut,1,2,3,4\n")
    assert problems(found) == [("csv-line-invalid", "line 1")]
    assert records(found) == []
    assert read(f"{HEADER.strip()},{columns}\n{TABLE.partition(chr(10))[2]}") == EXPECTED


def test_a_column_for_each_class() -> None:
    """As Roboflow's and Kaggle's tables for several classes an image have them."""
    found = read("filename, nut, bolt, rusty\na.jpg, 1, 0, 1\nb.jpg, 0, 1, 0\nc.jpg, 0, 0, 0\n")
    assert found == [
        ImageRecord("a.jpg", "line 2", (RawLabel("nut", None, "line 2"), RawLabel("rusty", None, "line 2"))),
        ImageRecord("b.jpg", "line 3", (RawLabel("bolt", None, "line 3"),)),
        ImageRecord("c.jpg", "line 4"),
    ]
    assert problems(read("filename,size,year\na.jpg,17,2026\n")) == [("label-file-unknown", "")]


def test_keras_retinanet_s_lines_have_no_header() -> None:
    assert read("dir/a.jpg,10,20,210,170,nut\nb.jpg,,,,,\n") == [
        ImageRecord("dir/a.jpg", "line 1", (box("nut", (10, 20, 210, 170), 1),)),
        ImageRecord("b.jpg", "line 2"),
    ]


def test_label_studio_s_table_has_choices_or_shapes_as_json() -> None:
    text = "annotation_id,{},id,image,lead_time\n7,{},1,/data/upload/1/624cb493-a.jpg,3.1\n"
    assert read(text.format("choice", "nut")) == [
        ImageRecord("data/upload/1/a.jpg", "line 2", (RawLabel("nut", None, "line 2"),))
    ]
    shapes = '"[{""x"": 1, ""rectanglelabels"": [""nut""]}]"'
    assert problems(read(text.format("label", shapes))) == [("class-invalid", "line 2")]


@pytest.mark.parametrize(
    ("line", "code", "broken"),
    [
        ("a.jpg,640,480,nut,10,20,210", "box-invalid", 1),
        ("a.jpg,640,480,nut,10,20,210,x", "box-invalid", 1),
        ("a.jpg,640,480,nut,10,20,210,nan", "box-invalid", 1),
        ("a.jpg,640,480,nut,,,,", "box-invalid", 1),
        ("a.jpg,640,480,,10,20,210,170", "class-invalid", 1),
        ("a.jpg,640,480,\x07,10,20,210,170", "class-invalid", 1),
        (",640,480,nut,10,20,210,170", "csv-line-invalid", 0),
        ('"a.jpg,640,480,nut,10,20,210,170', "csv-line-invalid", 0),
        ("a.jpg,640,480," + "x" * 200_000, "csv-line-invalid", 0),
    ],
)
def test_one_bad_line_is_quarantined_and_the_rest_kept(line: str, code: str, broken: int) -> None:
    found = read(TABLE + line + "\n" + TABLE.splitlines()[2], cut=1 << 16)
    assert problems(found) == [(code, "line 5")]
    assert [r.broken for r in records(found)] == [broken, 0]
    assert labels(found)[-1] == box("bolt", (1, 2, 3, 4.5), 6)


def test_a_line_that_is_no_utf_8_spoils_itself_only() -> None:
    found = read(TABLE.encode() + b"\xff.jpg,1,1,nut,1,1,2,2\n")
    assert problems(found) == [("csv-line-invalid", "line 5")]
    assert records(found) == EXPECTED


def test_boxes_in_shares_are_proven_declared_or_refused() -> None:
    text = HEADER + "a.jpg,640,480,nut,0.1,0.2,0.3,0.4\n"
    assert [label.shares for label in labels(read(text))] == [True]
    assert [label.shares for label in labels(read(text + "b.jpg,640,480,nut,1,2,3,4\n"))] == [False, False]
    unclear = text.replace("640", "")
    [found] = read(unclear)
    assert isinstance(found, Problem)
    assert found.code == "coordinates-unclear"
    assert "labels: {coordinates: normalised}" in found.expected
    assert [label.shares for label in labels(read(unclear, Options("normalised")))] == [True]
    assert [label.shares for label in labels(read(unclear, Options("pixels")))] == [False]


@pytest.mark.parametrize(
    "line",
    [
        "a.jpg,nut",
        "filename",
        "filename,size",
        "label,x",
        "filename,class,xmin,ymin",
        "1,2,3,4",
        "",
        "a,gs://x",
        ",",
        '"',
    ],
)
def test_what_is_no_table(line: str) -> None:
    assert layout_of(line) is None
    assert [code for code, _ in problems(read(line + "\n"))] == ["label-file-unknown"]


@given(st.binary(max_size=80) | st.text('abc.jpg,;"\n0159\x00-e', max_size=80).map(str.encode), st.booleans())
def test_any_file_gives_records_and_known_problems_only(data: bytes, google: bool) -> None:
    start = GOOGLE if google else TABLE
    sane(list(CsvReader().read("x", in_chunks(start.encode() + data, 7))))
    sane(list(CsvReader().read("x", iter([data]))))
