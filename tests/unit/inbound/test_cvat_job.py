"""A job of CVAT's API means the same as the XML that CVAT itself exports of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import BadRequest
from services.inbound.cvat_job import MOST_FRAMES, Documents, read_job
from services.labels.cvat import CvatReader
from services.labels.per_image import PerImageReader
from services.labels.record import ImageRecord, RawLabel, Reader
from services.state import Problem
from tests.support.fake_cvat import sample


def documents(**changed: Any) -> Documents:
    given = {name: sample(name) for name in ("job", "annotations", "meta")} | {"labels": sample("labels")["results"]}
    return Documents(**(given | changed))


def files(found: Documents) -> dict[str, str | None]:
    return {frame.file: frame.content for frame in read_job(found).frames}


def readings(content: str | None) -> tuple[list[RawLabel], list[str]]:
    """Labels and codes of problems, as the loop's readers see a file."""
    data = (content or "").encode()
    readers: list[Reader] = [PerImageReader(), CvatReader()]
    reader = next(reader for reader in readers if reader.accepts(data))
    found = [*reader.read("labels/x", iter([data]))]
    labels = [label for each in found if isinstance(each, ImageRecord) for label in each.labels]
    return labels, [each.code for each in found if isinstance(each, Problem)]


def shape(kind: str, points: Any, label: int = 3, **more: Any) -> dict[str, Any]:
    return {"type": kind, "frame": 15, "label_id": label, "points": points, **more}


def one(*shapes: dict[str, Any], tags: Any = (), tracks: Any = ()) -> str | None:
    annotations = {"shapes": [*shapes], "tags": [*tags], "tracks": [*tracks]}
    return files(documents(annotations=annotations))["labels/cvat/shelf/a.json"]


def test_every_frame_of_the_job_has_its_file_by_the_numbers_of_its_task() -> None:
    found = files(documents())
    names = ["shelf/a", "shelf/b", "shelf/c", "shelf/d", "shelf/e"]
    assert [*found] == [f"labels/cvat/{name}.json" for name in names]
    kept = json.loads(found["labels/cvat/shelf/a.json"] or "")
    assert (kept["width"], kept["height"], kept["source"]) == (640, 480, "CVAT, job 14")
    assert kept["labels"] == [{"label": "bolt", "box": [53.0, 301.5, 197.25, 463.0]}]


def test_shapes_mean_what_cvats_own_xml_says() -> None:
    labels, problems = readings(files(documents())["labels/cvat/shelf/b.json"])
    [record] = [r for r in CvatReader().read("x", xml()) if isinstance(r, ImageRecord)]
    assert problems == []
    assert [(r.label, r.box, r.polygons) for r in labels] == [(r.label, r.box, r.polygons) for r in record.labels]
    assert len(labels) == 4


def xml() -> Iterator[bytes]:
    """The frame `b` of the samples as CVAT exports it: cvat/apps/dataset_manager/formats/cvat.py."""
    shapes = (
        '<box label="nut" xtl="10.00" ytl="20.00" xbr="50.00" ybr="40.00" rotation="30.00"/>'
        '<polygon label="bolt" points="63.5,139.5;132.0,112.0;189.5,159.0"/>'
        '<mask label="nut" rle="1, 3, 2" left="10" top="20" width="3" height="2"/>'
        '<ellipse label="bolt" cx="100.00" cy="90.00" rx="20.00" ry="10.00"/>'
    )
    yield f'<annotations><image id="16" name="shelf/b.jpg" width="640" height="480">{shapes}</image></annotations>'.encode()


def test_a_frame_without_anything_says_nothing_and_the_tag_negative_that_nothing_is_there() -> None:
    found = files(documents())
    assert found["labels/cvat/shelf/d.json"] is None
    kept = json.loads(found["labels/cvat/shelf/c.json"] or "")
    assert (kept["negative"], kept.get("labels")) == (True, None)


def test_where_no_shape_is_drawn_the_tag_is_a_class_like_others() -> None:
    tags = [{"frame": 15, "label_id": 9}]
    assert json.loads(one(tags=tags) or "")["labels"] == [{"label": "negative"}]


def test_a_frame_that_was_deleted_in_cvat_says_nothing() -> None:
    assert files(documents())["labels/cvat/shelf/e.json"] is None


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (shape("skeleton", []), "shape-unsupported"),
        (shape("polyline", [1, 2, 3, 4]), "shape-unsupported"),
        (shape("points", [1, 2]), "shape-unsupported"),
        (shape("cuboid", [1] * 16), "shape-unsupported"),
        (shape("tag", [1, 2]), "shape-unsupported"),
        (shape("<x a='", [1, 2]), "shape-unsupported"),
        (shape("rectangle", [1, 2, 3, 4], label=77), "class-invalid"),
        (shape("rectangle", [1, 2, 3, 4], label=8), "class-invalid"),
        (shape("rectangle", [1, 2, 3]), "box-invalid"),
        (shape("rectangle", [1, 2, 3, "4"]), "box-invalid"),
        (shape("rectangle", [1, 2, 3, float("nan")]), "box-invalid"),
        (shape("rectangle", "\ud800\x00"), "box-invalid"),
        (shape("rectangle", [1, 2, 3, 4], rotation={}), None),
        (shape("rectangle", [1, 2, 3, 4], rotation=[1]), "box-invalid"),
        (shape("ellipse", [1]), "box-invalid"),
        (shape("polygon", [1, 2, 3]), "polygon-invalid"),
        (shape("mask", [1, 2, 3]), "polygon-invalid"),
        (shape("mask", [9, 9, 9, 0, 0, 2, 1]), "polygon-invalid"),
    ],
)
def test_what_cannot_be_read_is_quarantined_beside_what_can(found: dict[str, Any], code: str | None) -> None:
    labels, problems = readings(one(shape("rectangle", [10, 10, 20, 20]), found))
    assert problems == ([code] if code else [])
    assert [label.box for label in labels][:1] == [(10, 10, 20, 20)]
    assert len(labels) == (1 if code else 2)


def test_a_track_is_said_where_it_begins() -> None:
    tracks = [{"frame": 15, "label_id": 3, "shapes": [{"frame": 15, "type": "rectangle", "points": [1, 2, 3, 4]}]}]
    assert readings(one(tracks=tracks)) == ([], ["shape-unsupported"])


def test_jobs_of_chosen_frames_are_read_whether_others_are_listed_or_not() -> None:
    meta = sample("meta")
    chosen = documents(meta={**meta, "frames": meta["frames"][1:3], "included_frames": [16, 17]})
    padded = documents(meta={**meta, "included_frames": [16, 17]})
    assert files(chosen) == files(padded)
    assert [*files(chosen)] == ["labels/cvat/shelf/b.json", "labels/cvat/shelf/c.json"]


def test_chosen_frames_are_numbered_as_before_the_task_left_some_out() -> None:
    """A task of every third image from the tenth on, whose job begins with the sixteenth of these."""
    meta = sample("meta") | {"start_frame": 10 + 15 * 3, "frame_filter": "step=3"}
    padded = documents(meta={**meta, "included_frames": [58, 61]})
    alone = documents(meta={**meta, "frames": meta["frames"][1:3], "included_frames": [58, 61]})
    assert files(padded) == files(alone)
    assert [*files(alone)] == ["labels/cvat/shelf/b.json", "labels/cvat/shelf/c.json"]
    assert readings(files(alone)["labels/cvat/shelf/b.json"])[1] == []


@pytest.mark.parametrize("name", ["images/../x.jpg", "clip.mp4", "", 7, "a\\..\\x.jpg"])
def test_a_frame_that_names_no_image_is_said_and_the_others_are_read(name: object) -> None:
    meta = sample("meta")
    meta["frames"][0]["name"] = name
    outcome = read_job(documents(meta=meta))
    assert [(p.code, p.place) for p in outcome.problems] == [("cvat-structure", "meta.frames[0].name")]
    assert len(outcome.frames) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"job": []},
        {"job": {"id": True, "start_frame": 0}},
        {"job": {"id": 1}},
        {"job": {"id": 1, "start_frame": 0, "mode": "interpolation"}},
        {"meta": {"frames": None}},
        {"meta": {"frames": [{}] * (MOST_FRAMES + 1)}},
        {"annotations": None},
        {"annotations": {"shapes": [7], "tags": [], "tracks": []}},
        {"labels": {}},
    ],
)
def test_documents_of_another_shape_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read_job(documents(**changed))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([15, 16, "mask"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*at, key))


WHOLE = {name: sample(name) for name in ("job", "annotations", "meta")} | {"labels": sample("labels")["results"]}
PLACES = [place for place in places(WHOLE) if place]


@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=3))
def test_whatever_a_server_says_becomes_files_that_readers_take_or_a_refusal(odd: list[tuple[Any, Any]]) -> None:
    found = copy.deepcopy(WHOLE)
    for place, value in odd:
        inner: Any = found
        try:
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        except (TypeError, KeyError, IndexError):  # another oddity came before
            continue
    try:
        outcome = read_job(Documents(**found))
    except BadRequest:
        return
    for frame in outcome.frames:
        assert frame.file.startswith("labels/cvat/")
        if frame.content is not None:
            readings(frame.content)


def test_odd_members_do_no_harm() -> None:
    meta = sample("meta") | {"deleted_frames": [[], "x"], "included_frames": "all"}
    annotations = {"shapes": [shape("rectangle", [1, 2, 3, 4]) | {"frame": []}], "tags": [], "tracks": []}
    assert set(files(documents(meta=meta, annotations=annotations)).values()) == {None}
