"""Pascal VOC, and what no reader takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from services.labels import voc
from services.labels.record import ImageRecord, RawLabel
from tests.support.label_files import damaged, only_problem, problems, read, records, sane

VOC = """<?xml version="1.0"?>
<annotation>
  <filename>old_name.jpg</filename>
  <size><width>378</width><height>504</height><depth>3</depth></size>
  <object><name>ace</name><bndbox><xmin>203</xmin><ymin>217.5</ymin><xmax>305</xmax><ymax>396</ymax></bndbox></object>
  <object><name>king</name><bndbox><xmax>30</xmax><ymax>40</ymax><xmin>1</xmin><ymin>2</ymin></bndbox></object>
</annotation>
"""


def test_voc() -> None:
    ace = RawLabel("ace", (203, 217.5, 305, 396), "annotation/object[1]")
    king = RawLabel("king", (1, 2, 30, 40), "annotation/object[2]")
    assert read(VOC.encode()) == [ImageRecord("old_name.jpg", "annotation", (ace, king), 378, 504)]
    assert read(VOC.replace("?>", ' encoding="utf-16"?>').encode("utf-16")) == read(VOC.encode())


def test_voc_without_objects_and_without_size() -> None:
    assert read(b"<annotation/>") == [ImageRecord("", "annotation")]
    text = VOC.replace("378", "0").replace("504", "many")
    assert [(r.width, r.height) for r in records(read(text.encode()))] == [(0, 0)]


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("<name>ace</name>", "", "class-invalid", "annotation/object[1]/name"),
        ("<xmin>203</xmin>", "", "box-invalid", "annotation/object[1]/bndbox"),
        ("217.5", "nan", "box-invalid", "annotation/object[1]/bndbox"),
        ("217.5", "-inf", "box-invalid", "annotation/object[1]/bndbox"),
        ("217.5", "1,5", "box-invalid", "annotation/object[1]/bndbox"),
    ],
)
def test_one_bad_object_is_quarantined_and_the_rest_kept(old: str, new: str, code: str, place: str) -> None:
    found = read(VOC.replace(old, new).encode())
    problem = only_problem(found)
    assert (problem.code, problem.place) == (code, place)
    assert [(label.label, r.broken) for r in records(found) for label in r.labels] == [("king", 1)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (VOC.encode()[:200], "xml-invalid"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "xml-invalid"),
        (b'<?xml version="1.0" encoding="no-such"?><annotation/>', "xml-invalid"),
        (b"<annotated/>", "voc-structure"),
        (b"<" * 1000, "xml-invalid"),
        (b"", "label-file-unknown"),
        (b"1 0.5 0.5 0.2", "label-file-unknown"),
        (b"[1, 2]", "label-file-unknown"),
    ],
)
def test_what_is_no_label_file_is_told(data: bytes, code: str) -> None:
    assert only_problem(read(data)).code == code


def test_deep_xml_does_no_harm() -> None:
    depth = 50_000
    found = read(b"<annotation>" + b"<a>" * depth + b"</a>" * depth + b"</annotation>", cut=1 << 20)
    assert found == [ImageRecord("", "annotation")] or problems(found)[0][0] == "xml-invalid"


def test_a_file_above_the_limit_is_refused_with_the_limit_named() -> None:
    problem = only_problem(read(b"{}", limit=1))
    assert problem.code == "label-file-too-large"
    assert "VISIONLOOP_MAX_LABEL_FILE_BYTES" in problem.expected


def test_a_large_xml_is_refused_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc, "MOST_BYTES", 100)
    assert only_problem(read(VOC.encode())).code == "label-file-too-large"


@settings(max_examples=200)
@given(damaged(VOC.encode()))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data))
