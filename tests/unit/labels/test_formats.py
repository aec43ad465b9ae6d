"""Which format a file is of is told by its content, and by one reader only."""

from __future__ import annotations

import json

import pytest

from services.labels.formats import READERS, open_labels
from services.labels.heads import HEAD, json_head, xml_root
from services.state import Problem
from tests.support.label_documents import SAMPLES
from tests.support.label_files import in_chunks, problems, read, records


def test_every_format_has_a_sample() -> None:
    assert {reader.name for reader in READERS} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_is_accepted_by_its_reader_and_no_other(name: str) -> None:
    for data in (SAMPLES[name], b"\xef\xbb\xbf" + SAMPLES[name], b"\n  " + SAMPLES[name]):
        assert [reader.name for reader in READERS if reader.accepts(data[:HEAD])] == [name]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_read_without_problems_however_it_is_cut(name: str) -> None:
    found = read(SAMPLES[name], cut=1, expect=name)
    assert problems(found) == []
    assert records(found)
    assert read(SAMPLES[name], cut=1 << 20) == found


@pytest.mark.parametrize("data", [b'{"boxes": []}', b"[1, 2]", b"[]", b"[[]]", b'"text"', b"7", b"nut", b"", b"  "])
def test_what_nobody_knows_is_told_with_what_was_tried(data: bytes) -> None:
    found = read(data)
    assert problems(found) == [("label-file-unknown", "")]
    assert all(reader.name in found[0].expected for reader in READERS)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("file", "data", "name"),
    [
        ("labels/a.txt", b"filename,class\na.jpg,nut\n", "csv"),
        ("labels/a.csv", b"0 0.5 0.5 0.1 0.1\n", "yolo"),
        ("labels/a.txt", b'{"images": [', "coco"),
        ("labels/a.json", b'{"image_url": "a.jpg", "label": "nut"}\n', "automl-jsonl"),
        ("labels/a.jsonl", b'{"images": [], "annotations": [], "categories": []}\n', "coco"),
        ("labels/a.txt", b"<annotation/>", "voc"),
        ("labels/a.csv", "image,label\n<a>.jpg,x\n".encode("utf-16"), "csv"),
        ("labels/a.csv", b'image,label\n{"a": 1},x\n', "csv"),
        ("labels/a.csv", b"TRAIN,gs://b/a.jpg,nut,0.1,0.1,,,0.3,0.3,,\n", "csv"),
        ("labels/a.txt", b"nut 1 2 3 4\n0 0.5 0.5 0.1 0.1\n", "yolo"),
        ("labels/a.txt", b"0 " + b"0.25 0.5 " * 20_000, "yolo"),
        ("labels/a.txt", b"", "yolo"),
        ("labels/a.csv", b"", ""),
        ("labels/a.json", b" \n", ""),
        ("labels/train.txt", b"images/train/a.jpg\nimages/train/b.jpg\n", "image-list"),
        ("labels/a.csv", b"1,2,3,4,5\n", ""),
        ("labels/a.csv", b"a.jpg,nut\n", ""),
        ("labels/descriptions.csv", b"/m/011k07,Tortoise\n", ""),
        ("labels/a.txt", b"1 2 3\n", ""),
        ("labels/a.xml", b"\xff\xfea\0", ""),
    ],
)
def test_heads_that_may_be_mistaken(file: str, data: bytes, name: str) -> None:
    assert open_labels(file, len(data), 1 << 30, in_chunks(data, 1 << 16)).format == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("data/obj_train_data/a b.jpg\r\n\r\n./b.PNG", "image-list"),
        ("\ufeffC:\\images\\a.jpg\n", "image-list"),
        ("a.jpg\n" * 40_000, "image-list"),
        ("a.jpg\nb\n", ""),
        ("a.jpg\nb.jp", ""),
        ('{"image": "a.jpg\n', ""),
        ("\n", "yolo"),
    ],
)
def test_a_list_of_images_labels_nothing(text: str, name: str) -> None:
    data = text.encode()
    opened = open_labels("labels/train.txt", len(data), 1 << 30, in_chunks(data, 1 << 16))
    assert opened.format == name
    assert name != "image-list" or list(opened.readings) == []


def test_a_file_that_nobody_knows_is_shown_from_its_beginning() -> None:
    data = b'[{"picture": "000.jpg", "objects": [{"label": "bolt"}]}]'
    opened = open_labels("labels/a.json", len(data), 1 << 30, iter([data]))
    [found] = opened.readings
    assert isinstance(found, Problem)
    assert (found.code, found.found) == ("label-file-unknown", f"a file that begins with {data.decode()!r}")


@pytest.mark.parametrize(
    ("text", "kind", "names"),
    [
        ('{"a": {"b": [1, {"c": 2}]}, "d": "e:{", "f', "object", {"a", "d"}),
        ('{"a\\"{": 1, "b": "}"} {"c": 1}', "object", {'a\\"{', "b"}),
        ('[{"a": 1, "b": {"c": 1}}, {"d": 1}]', "list", {"a", "b"}),
        ('[[{"a": 1}]]', "list", set()),
        ('["a", {"b": 1}]', "list", {"b"}),
        ('{"a": "no end {"', "object", {"a"}),
        ('{"a": "no end \\', "object", {"a"}),
        ("[1, 2]", "list", set()),
        ("}{", "", set()),
    ],
)
def test_names_of_the_first_object(text: str, kind: str, names: set[str]) -> None:
    assert json_head(text.encode()) == (kind, frozenset(names))


def test_a_long_head_is_looked_at_in_little_time() -> None:
    text = '{"a": "' + '\\"' * (HEAD // 2)
    assert json_head(text.encode()).names == {"a"}
    assert json_head(json.dumps([{"a": [[[]]] * 10_000, "b": 1}]).encode()).names == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("<a/>", "a"),
        ('<?xml version="1.0"?>\r\n<!-- <b> --><?c d?> <a:e x="1">', "a:e"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", ""),
        ("<", ""),
        ("<!-- no end", ""),
        ("a", None),
        ("", None),
    ],
)
def test_root_of_xml(text: str, root: str | None) -> None:
    assert xml_root(text.encode()) == root
    if root is not None:
        assert xml_root(text.encode("utf-16")) == root
