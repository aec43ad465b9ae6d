from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.cloud.fakes import FakeBlobStore, FakeClock
from services.datasets.jsonl import annotations_of, blob_of, blob_url, datastore_url, line
from services.datasets.parts import Part, write_parts
from services.datasets.reading import HoldoutImage, holdout
from services.labels.annotation import Annotation
from services.state import DatasetVersion

URL = datastore_url("sub", "group", "space", "visionloop_data")
shares = st.floats(0, 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
boxes = st.builds(Annotation, texts, st.tuples(shares, shares, shares, shares), st.booleans())


def test_a_line_is_what_automl_reads() -> None:
    found = json.loads(
        line(URL + "cards/images/a b.jpg", "jpeg", 640, 480, [Annotation("ace", (0, 0.25, 0.5, 1))], "object_detection")
    )
    assert found == {
        "image_url": "azureml://subscriptions/sub/resourcegroups/group/workspaces/space"
        "/datastores/visionloop_data/paths/cards/images/a b.jpg",
        "image_details": {"format": "jpeg", "width": 640, "height": 480},
        "label": [{"label": "ace", "topX": 0, "topY": 0.25, "bottomX": 0.5, "bottomY": 1, "isCrowd": 0}],
    }


def test_outlines_as_automl_wants_them_and_back() -> None:
    outline = (0.1, 0.25, 0.5, 0.25, 0.5, 1.0)
    nut = Annotation("nut", (0.1, 0.25, 0.5, 1.0), polygons=(outline, outline))
    found = json.loads(line(URL + "a", "png", 4, 4, [nut], "instance_segmentation"))["label"]
    assert found == [{"label": "nut", "isCrowd": 0, "polygon": [list(outline), list(outline)]}]
    assert annotations_of(found) == (nut,)
    assert json.loads(line(URL + "a", "png", 4, 4, [], "instance_segmentation"))["label"] == []


def test_a_class_is_a_text_and_several_are_a_list() -> None:
    one = json.loads(line(URL + "a", "png", 1, 1, [Annotation("can")], "image_classification"))
    two = [Annotation("can"), Annotation("red")]
    assert one["label"] == "can"
    assert json.loads(line(URL + "a", "png", 1, 1, two, "image_classification_multilabel"))["label"] == ["can", "red"]


@given(st.lists(boxes, max_size=4), texts)
def test_what_is_written_is_read_back(annotations: list[Annotation], name: str) -> None:
    written = line(blob_url(URL, name), "jpeg", 3, 4, annotations, "object_detection")
    assert written.count(b"\n") == 1
    content = json.loads(written)
    assert annotations_of(content["label"]) == tuple(annotations)
    assert blob_of(content["image_url"]) == name


def test_the_holdout_of_a_version() -> None:
    system = FakeBlobStore()
    version = DatasetVersion(
        number=1,
        content_hash="c",
        task="object_detection",
        classes=["ace"],
        folder="datasets/cards/1-c/",
        train_asset="cards-train:1",
        validation_asset="cards-validation:1",
        train_images=0,
        validation_images=2,
        annotations_per_class={},
        images_per_class={},
        new_since_trained=0,
        created=FakeClock()(),
    )
    ace = Annotation("ace", (0.0, 0.0, 0.5, 0.5), is_crowd=True)
    lines = line(URL + "cards/images/a.jpg", "jpeg", 10, 20, [ace], "object_detection") + line(
        URL + "cards/images/b\u2028.jpg", "jpeg", 10, 20, [], "object_detection"
    )
    a, b = HoldoutImage("cards/images/a.jpg", 10, 20, (ace,)), HoldoutImage("cards/images/b\u2028.jpg", 10, 20, ())
    system.write(f"{version.folder}validation/validation_annotations.jsonl", lines)
    assert holdout(system, version) == [a, b]
    system.write("2.jsonl", lines)
    system.write("1.jsonl", lines.partition(b"\n")[0])
    write_parts(
        system, version.folder, [Part("2", "", "2.jsonl", ""), Part("k", "", "", ""), Part("1", "", "1.jsonl", "")]
    )
    assert holdout(system, version) == [a, b, a]
