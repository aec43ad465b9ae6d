from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.drawing import HEIGHT, MOST_COVERED, WIDTH, draw
from demo.examples import Example, Thing, coco
from demo.folder import Unusable, loop_name, read_folder
from demo.parts import CANVAS, PARTS
from demo.scoring import overlap
from demo.source import config, drawn
from services.config_file import read_config
from services.names import check_loop_name

VOC = """<annotation><filename>{name}.jpg</filename><object><name>ace</name><bndbox>
<xmin>10</xmin><ymin>20</ymin><xmax>30</xmax><ymax>44</ymax></bndbox></object></annotation>"""


def _image(file: Path, shade: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (shade, 0, 0)).save(file)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Photographs with labels beside them, in folders train and test."""
    for number in range(12):
        folder = tmp_path / "images" / ("test" if number < 3 else "train")
        _image(folder / f"{number}.JPG", number)
        (folder / f"{number}.xml").write_text(VOC.format(name=number))
    (tmp_path / "images" / "notes.md").write_text("ignored")
    return tmp_path


@pytest.fixture
def one_document(tmp_path: Path) -> Path:
    """Images of one folder, and a COCO document for all."""
    for number in range(16):
        _image(tmp_path / "photos" / f"{number}.png", number)
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in range(16)]
    boxes = [{"id": n, "image_id": n, "category_id": 7, "bbox": [1, 2, 10, 20]} for n in range(16)]
    found = {"images": images, "annotations": boxes, "categories": [{"id": 7, "name": "nut"}]}
    (tmp_path / "coco.json").write_text(json.dumps(found))
    (tmp_path / "notes.json").write_text("[]")
    return tmp_path


class TestDrawn:
    @pytest.fixture(scope="class")
    @staticmethod
    def examples() -> list[Example]:
        return list(draw(28, 0, "belt"))

    def test_a_seed_draws_the_same_and_another_something_else(self, examples: list[Example]) -> None:
        assert list(draw(2, 0, "belt")) == examples[:2]
        assert [e.data for e in draw(2, 1, "belt")] != [e.data for e in examples[:2]]
        assert next(draw(1, 0, "held-out")).data != examples[0].data

    def test_boxes_lie_inside_and_hold_something(self, examples: list[Example]) -> None:
        boxes = [box_of(thing) for e in examples for thing in e.things]
        assert all(0 <= x1 < x2 <= WIDTH and 0 <= y1 < y2 <= HEIGHT for x1, y1, x2, y2 in boxes)
        assert min(min(x2 - x1, y2 - y1) for x1, y1, x2, y2 in boxes) > 6

    def test_a_box_fits_its_part_closely(self, examples: list[Example]) -> None:
        """Beside a lone part's box is belt, inside it metal: the rows of both differ."""
        lone = [(e, t) for e in examples for t in e.things if t.name != "bolt" and _alone(t, e)]
        assert lone
        for example, thing in lone:
            pixels = np.asarray(Image.open(io.BytesIO(example.data)).convert("L"), np.float32)
            x1, y1, x2, y2 = (round(edge) for edge in box_of(thing))
            inside = pixels[y1:y2, x1:x2]
            assert (x2 - x1) / (y2 - y1) == pytest.approx(1, abs=0.25)
            assert inside.std() > pixels[max(0, y1 - 8) : y1, x1:x2].std() * 0.8

    def test_all_classes_come_in_number_and_some_belts_are_empty(self, examples: list[Example]) -> None:
        counts = Counter(t.name for e in examples for t in e.things)
        assert set(counts) == set(PARTS)
        assert min(counts.values()) > len(examples)
        assert [e for e in examples if not e.things]

    def test_nothing_is_covered_beyond_recognition(self, examples: list[Example]) -> None:
        worst = max(
            (overlap(box_of(a), box_of(b)) for e in examples for a in e.things for b in e.things if a is not b),
            default=0.0,
        )
        assert 0 < worst <= MOST_COVERED

    @pytest.mark.parametrize("name", sorted(PARTS))
    def test_a_part_is_drawn_on_nothing(self, name: str) -> None:
        import random

        picture = PARTS[name](random.Random(3))
        assert picture.size == (CANVAS, CANVAS)
        alpha = np.asarray(picture.getchannel("A"))
        assert 0.05 < (alpha > 0).mean() < 0.8
        assert (alpha[CANVAS // 2, CANVAS // 2] == 0) == (name != "bolt")


def box_of(thing: Thing) -> tuple[float, float, float, float]:
    assert thing.box is not None
    return thing.box


def _alone(thing: Thing, example: Example) -> bool:
    return all(overlap(box_of(thing), box_of(other)) == 0 for other in example.things if other is not thing)


def test_coco_says_what_the_examples_hold() -> None:
    example = Example("a.jpg", b"", 64, 48, (Thing("nut", (1, 2, 11, 22)), Thing("bolt", (0, 0, 5, 5))))
    found = coco([example, Example("b.jpg", b"", 64, 48, ())])
    assert [c["name"] for c in found["categories"]] == ["bolt", "nut"]
    assert [i["file_name"] for i in found["images"]] == ["a.jpg", "b.jpg"]
    nut = found["annotations"][0]
    assert (nut["image_id"], nut["category_id"], nut["bbox"], nut["area"]) == (1, 2, [1, 2, 10, 20], 200)


def test_the_drawn_source_keeps_what_it_judges_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.source.DRAWN_FAST", 6)
    monkeypatch.setattr("demo.source.HELD_OUT_FAST", 3)
    source = drawn("conveyor", 5, fast=True)
    names = [u.name for u in source.uploads]
    assert names[-1] == "labels/coco.json"
    labelled = json.loads(source.uploads[-1].read())["images"]
    assert {f"images/{i['file_name']}" for i in labelled} == set(names[:-1])
    assert not {e.data for e in source.held_out} & {u.read() for u in source.uploads}


def test_the_demonstrations_config_is_one_the_app_takes() -> None:
    found, problems = read_config(config(40, 10, 12), "conveyor/loop.yaml")
    assert problems == []
    assert found is not None
    assert found.training.parameters == {"number_of_epochs": 12}
    assert found.training.limits.max_trials == 2


class TestFolder:
    def test_its_test_split_is_held_out_with_its_labels(self, voc: Path) -> None:
        source = read_folder(voc, None, 0, fast=False)
        names = [u.name for u in source.uploads]
        assert len(names) == 18
        assert not [n for n in names if "test" in n]
        assert {"images/train/4.JPG", "images/train/4.xml"} <= set(names)
        assert [e.name for e in source.held_out] == [f"images/test/{n}.JPG" for n in range(3)]
        [thing] = source.held_out[0].things
        assert (thing.name, thing.box) == ("ace", pytest.approx((10, 20, 30, 44), abs=1e-3))

    def test_without_one_some_images_are_held_out(self, one_document: Path) -> None:
        source = read_folder(one_document, "mine", 0, fast=False)
        hidden = {Path(e.name).name for e in source.held_out}
        assert len(hidden) == 2
        for example in source.held_out:
            [thing] = example.things
            assert (thing.name, thing.box) == ("nut", pytest.approx((1, 2, 11, 22), abs=1e-3))
        uploaded = {Path(u.name).name for u in source.uploads}
        assert uploaded == {"coco.json", "notes.json", *(f"{n}.png" for n in range(16))} - hidden

    def test_any_format_that_the_app_reads_will_do(self, tmp_path: Path) -> None:
        for number in range(10):
            split = "test" if number < 2 else "train"
            _image(tmp_path / split / "images" / f"{number}.jpg", number)
            (tmp_path / split / "labels").mkdir(exist_ok=True)
            (tmp_path / split / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
        (tmp_path / "data.yaml").write_text("names: [nut]\n")
        source = read_folder(tmp_path, "yolo", 0, fast=False)
        assert [e.things for e in source.held_out] == [(Thing("nut", (24.0, 12.0, 40.0, 36.0)),)] * 2
        names = {u.name for u in source.uploads}
        assert len(names) == 17
        assert not [n for n in names if "test" in n]
        assert "object detection" in source.described

    def test_a_folder_a_class_is_a_classification(self, tmp_path: Path) -> None:
        for number in range(12):
            _image(tmp_path / ("can" if number % 2 else "carton") / f"{number}.jpg", number)
        source = read_folder(tmp_path, "fridge", 0, fast=False)
        assert {e.things for e in source.held_out} <= {(Thing("can", None),), (Thing("carton", None),)}
        assert len(source.uploads) == 11
        found, problems = read_config(source.config, "fridge/loop.yaml")
        assert (problems, found and found.training.search_space[0]["model_name"]) == ([], ["vitb16r224"])

    def test_labels_in_a_folder_of_their_own_go_to_labels(self, tmp_path: Path) -> None:
        for number in range(4):
            _image(tmp_path / "JPEGImages" / f"{number}.jpg", number)
            (tmp_path / "Annotations").mkdir(exist_ok=True)
            (tmp_path / "Annotations" / f"{number}.xml").write_text(VOC.format(name=number))
        source = read_folder(tmp_path, "voc", 0, fast=False)
        labels = [u.name for u in source.uploads if u.name.startswith("labels/Annotations/")]
        assert len(labels) == 3
        assert source.held_out[0].things

    def test_its_own_loop_yaml_is_taken(self, voc: Path) -> None:
        (voc / "loop.yaml").write_text("paused: true\n")
        assert read_folder(voc, None, 0, fast=False).config == b"paused: true\n"

    @pytest.mark.parametrize(("file", "said"), [("a.txt", "no images"), ("a.jpg", "no labels")])
    def test_what_cannot_be_learnt_from_is_said(self, tmp_path: Path, file: str, said: str) -> None:
        _image(tmp_path / file, 1) if file.endswith("jpg") else (tmp_path / file).touch()
        with pytest.raises(Unusable, match=said):
            read_folder(tmp_path, None, 0, fast=False)

    @pytest.mark.parametrize("text", ["playing_cards", "Ünï côde!", "2026 photos", "x" * 80, "___", "ab", "ö"])
    def test_a_loop_is_named_after_any_folder(self, text: str) -> None:
        name: Any = loop_name(text)
        assert check_loop_name(name) == name

    def test_accents_are_left_away(self) -> None:
        assert loop_name("Türen & Äpfel") == "turen-apfel"
