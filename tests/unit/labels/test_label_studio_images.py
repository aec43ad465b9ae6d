"""Tasks of Label Studio with several images: each region goes to its own one, or it is said that nobody can tell."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from services.labels.record import Reading
from tests.support.label_documents import LABEL_STUDIO
from tests.support.label_files import problems, read, records

RESULT: dict[str, Any] = LABEL_STUDIO[0]["annotations"][0]["result"][0]
PAIR = {"front": "s3://b/front/1.jpg", "back": "s3://b/back/1.jpg"}


def box(name: str, to_name: str | None, **more: Any) -> dict[str, Any]:
    value = RESULT["value"] | {"rectanglelabels": [name]}
    return RESULT | {"value": value, "id": name, "to_name": to_name} | more


def kind(name: str, to_name: str) -> dict[str, Any]:
    return {"type": "choices", "to_name": to_name, "from_name": "kind", "value": {"choices": [name]}}


def export(data: Any, *results: Any) -> list[Reading]:
    task = copy.deepcopy(LABEL_STUDIO[0]) | {"data": data}
    task["annotations"][0]["result"] = [*results]
    return read(json.dumps([task, *LABEL_STUDIO]).encode(), cut=50, expect="label-studio")


def said(found: list[Reading]) -> list[tuple[str, list[str]]]:
    """Images and their classes; the task behind the one in question is read in any case."""
    *before, last = records(found)
    assert last.image == "data/upload/4/a.jpg"
    return [(record.image, [label.label for label in record.labels]) for record in before]


def test_every_region_goes_to_the_image_that_it_names() -> None:
    found = export(PAIR, box("nut", "back"), box("bolt", "front", original_width=100), box("cog", "back"))
    assert said(found) == [("b/back/1.jpg", ["nut", "cog"]), ("b/front/1.jpg", ["bolt"])]
    assert [(record.width, record.height) for record in records(found)[:2]] == [(640, 480), (100, 480)]
    assert problems(found) == []


def test_one_that_only_the_second_image_has_is_not_of_the_first() -> None:
    assert said(export(PAIR, box("nut", "back"))) == [("b/back/1.jpg", ["nut"])]
    assert said(export(PAIR | {"image": "c.jpg"}, box("nut", "back"))) == [("b/back/1.jpg", ["nut"])]


def test_choices_go_to_their_image_too() -> None:
    assert said(export(PAIR, kind("nut", "back"), kind("bolt", "front"))) == [
        ("b/back/1.jpg", ["nut"]), ("b/front/1.jpg", ["bolt"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "results"),
    [
        (PAIR, [box("nut", "img1")]),
        (PAIR, [box("nut", "front"), box("bolt", "img2")]),
        (PAIR, [box("nut", None)]),
        (PAIR, [kind("nut", "img2")]),
        (PAIR | {"image": "c.jpg"}, [box("nut", "img2")]),
        ({"image": "a.jpg", "image2": "https://x.example/5"}, [box("nut", "img1"), box("bolt", "img2")]),
        ({"pages": ["1.jpg", "2.jpg"]}, [box("nut", "pages")]),
        ({"pages": ["1.jpg", "2.jpg"]}, [box("nut", "pages", item_index=2)]),
        ({"pages": ["1.jpg", "2.jpg"]}, [box("nut", "pages", item_index=-1)]),
        ({"pages": ["1.jpg", "2.jpg"]}, [box("nut", "pages", item_index=True)]),
        (PAIR, []),
    ],
)
def test_where_nobody_can_tell_the_task_is_refused_and_the_others_are_read(data: Any, results: list[Any]) -> None:
    found = export(data, *results)
    [(code, place)] = problems(found)
    assert code == "label-studio-structure"
    assert place.startswith("[0].annotations[0].result")
    assert said(found) == []


def test_pages_of_a_list_are_counted() -> None:
    data = {"pages": ["a/1.jpg", "a/2.jpg"]}
    for to_name in ("pages", "img"):
        found = export(data, box("nut", to_name, item_index=1), box("bolt", to_name, item_index=0))
        assert said(found) == [("a/2.jpg", ["nut"]), ("a/1.jpg", ["bolt"])]


@pytest.mark.parametrize(
    "data",
    [
        {"image": "s3://b/1.jpg"},
        {"image": "s3://b/1.jpg", "name": "1.jpg"},
        {"pages": ["b/1.jpg"]},
        {"image": "s3://b/1.jpg", "n": 5, "text": "fine", "tags": ["x"]},
    ],
)
def test_of_one_image_the_names_do_not_matter(data: Any) -> None:
    for results in ([box("nut", "img")], [box("nut", None)], [box("nut", "img"), kind("bolt", "text")]):
        assert [image for image, _ in said(export(data, *results))] == ["b/1.jpg"]
    assert said(export(data)) == [("b/1.jpg", [])]


def test_the_name_that_everybody_uses_is_enough_beside_other_pictures() -> None:
    data = {"image": "s3://b/1.jpg", "thumbnail": "s3://b/small/1.jpg"}
    assert said(export(data, box("nut", "image"))) == [("b/1.jpg", ["nut"])]
    assert said(export(data)) == [("b/1.jpg", [])], "an empty annotation is a negative"


def test_what_is_no_label_does_not_matter() -> None:
    text = {"type": "textarea", "to_name": "remark", "value": {"text": ["good"]}}
    relation = {"type": "relation", "from_id": "nut", "to_id": "bolt"}
    assert said(export(PAIR, box("nut", "back"), text, relation)) == [("b/back/1.jpg", ["nut"])]


def test_problems_of_a_region_are_those_of_its_image() -> None:
    brush = {"type": "brushlabels", "to_name": "front", "value": {"format": "rle", "brushlabels": ["nut"]}}
    found = export(PAIR, box("nut", "back"), brush)
    assert [code for code, _ in problems(found)] == ["shape-unsupported"]
    assert [(record.image, record.broken) for record in records(found)[:2]] == [
        ("b/back/1.jpg", 0),
        ("b/front/1.jpg", 1),
    ]


def test_json_min_does_not_tell_of_which_image_a_shape_is() -> None:
    entry = PAIR | {"id": 9, "annotation_id": 4, "label": [{**RESULT["value"], "original_width": 640}]}
    found = read(json.dumps([entry]).encode(), cut=50, expect="label-studio")
    assert (records(found), problems(found)) == ([], [("label-studio-structure", "[0]")])
