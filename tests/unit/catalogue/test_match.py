from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.match import Matcher
from services.catalogue.paths import bucket_of, class_folder, kind_of, stem


@pytest.mark.parametrize(
    ("path", "size", "kind"),
    [
        ("images/a.jpg", 1, "image"),
        ("images/train/A.JPG", 1, "image"),
        ("images/a.TiFf", 1, "image"),
        ("images/a.xml", 1, "label"),
        ("labels/x/instances.json", 1, "label"),
        ("labels/a.jpg", 1, "misplaced"),
        ("a.jpg", 1, "misplaced"),
        ("labels/a.txt", 1, "label"),
        ("labels/a.txt", 0, "label"),
        ("images/labels.csv", 1, "label"),
        ("labels/a.jsonl", 1, "label"),
        ("labels/a.docx", 1, "unknown"),
        ("labels/train/classes.txt", 1, "class list"),
        ("labels/data.yaml", 1, "class list"),
        ("images/obj.names", 1, "class list"),
        ("data.yaml", 1, "class list"),
        ("classes.txt", 1, "class list"),
        ("other/data.yaml", 1, "misplaced"),
        ("lines.txt", 1, "misplaced"),
        ("labels/loop.yaml", 1, "class list"),
        ("images/noextension", 1, "unknown"),
        ("loop.yaml", 1, "ignored"),
        ("images", 0, "ignored"),
        ("images/Thumbs.db", 1, "ignored"),
        ("images/._a.jpg", 1, "ignored"),
        ("images/../../other/a.jpg", 1, "unusable"),
        ("images/train/_darknet.labels", 1, "class list"),
        ("labels/labels.txt", 1, "class list"),
        ("labels/train2017.cache", 1, "ignored"),
        ("labels/obj.data", 1, "ignored"),
        ("labels/VOC2012/ImageSets/Main/train.txt", 1, "ignored"),
        ("images/a\nb.jpg", 1, "unusable"),
        ("images/a\u202egpj.exe.jpg", 1, "unusable"),
        ("images/" + "x" * 1020 + ".jpg", 1, "unusable"),
        ("images/Bildschirmfoto 12\u202f30.png", 1, "image"),
        ("images/写真 1.jpg", 1, "image"),
    ],
)
def test_what_a_file_is(path: str, size: int, kind: str) -> None:
    assert kind_of(path, size) == kind


def test_folders_that_are_classes() -> None:
    assert class_folder("images/can/1.jpg") == "can"
    assert class_folder("images/train/can/1.jpg") == class_folder("images/dataset/Valid/can/1.jpg") == "can"
    assert class_folder("images/train/can/dented/1.jpg") == class_folder("images/dataset/test/1.jpg") == ""
    assert class_folder("images/1.jpg") == class_folder("images/a/b/1.jpg") == class_folder("images/train/1.jpg") == ""


IMAGES = ["images/train/a.jpg", "images/test/a.jpg", "images/b.JPG", "images/c.png", "images/c.jpg", "images/x/D.jpg"]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("train/a.jpg", ["images/train/a.jpg"]),
        ("/home/me/test/a.jpg", ["images/test/a.jpg"]),
        ("C:\\data\\test\\a.jpg", ["images/test/a.jpg"]),
        ("a.jpg", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("other/a.jpg", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("b.jpg", ["images/b.JPG"]),
        ("images/b.png", ["images/b.JPG"]),
        ("c.png", ["images/c.png"]),
        ("c.bmp", ["images/c.jpg", "images/c.png"]),
        ("d.jpg", ["images/x/D.jpg"]),
        ("e.jpg", []),
        ("", []),
        ("///", []),
        ("..", []),
    ],
)
def test_a_name_in_a_bulk_file(reference: str, found: list[str]) -> None:
    assert sorted(Matcher(IMAGES).find(reference, with_extension=True)) == found


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("train/a.xml", ["images/train/a.jpg"]),
        ("a.xml", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("Annotations/b.xml", ["images/b.JPG"]),
        ("c.xml", ["images/c.jpg", "images/c.png"]),
        ("d.xml", ["images/x/D.jpg"]),
        ("b.jpg.xml", ["images/b.JPG"]),
        ("x/D.jpg.txt", ["images/x/D.jpg"]),
        ("train/a.jpg.json", ["images/train/a.jpg"]),
        ("a.png.xml", []),
        ("c.png.txt", ["images/c.png"]),
    ],
)
def test_a_sidecar_is_matched_by_its_stem(reference: str, found: list[str]) -> None:
    assert sorted(Matcher(IMAGES).find(reference, with_extension=False)) == found


@pytest.mark.parametrize(
    ("reference", "named", "found"),
    [
        ("c.json", "c.png", ["images/c.png"]),
        ("c.json", "/home/me/C.PNG", ["images/c.png"]),
        ("c.json", "c.bmp", ["images/c.jpg", "images/c.png"]),
        ("c.json", "other.png", ["images/c.jpg", "images/c.png"]),
        ("c.json", "", ["images/c.jpg", "images/c.png"]),
        ("c.jpg.json", "c.png", ["images/c.jpg"]),
        ("a.json", "..\\train\\a.jpg", ["images/train/a.jpg"]),
        ("a.json", "a.jpg", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("test/a.json", "train/a.jpg", ["images/test/a.jpg"]),
    ],
)
def test_of_images_of_one_stem_the_one_that_the_file_names_within_is_meant(
    reference: str, named: str, found: list[str]
) -> None:
    assert sorted(Matcher(IMAGES).find(reference, with_extension=False, named=named)) == found


@pytest.mark.parametrize(
    ("reference", "bulk", "found"),
    [
        ("a.jpg.txt", False, ["images/a.jpg.png"]),
        ("a.jpg.png.txt", False, ["images/a.jpg.png"]),
        ("a.txt", False, ["images/a.jpg"]),
        ("a.JPG.txt", False, ["images/a.jpg.png"]),
        ("a.jpg", True, ["images/a.jpg"]),
        ("a.jpg.bmp", True, ["images/a.jpg.png"]),
    ],
)
def test_an_image_with_two_extensions_keeps_its_labels_to_itself(reference: str, bulk: bool, found: list[str]) -> None:
    assert Matcher(["images/a.jpg", "images/a.jpg.png"]).find(reference, with_extension=bulk) == found


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("images/train/_annotations.csv", ["images/train/a.jpg"]),
        ("labels/test/images/x.json", ["images/test/a.jpg"]),
        ("labels/annotations/instances_Train.json", ["images/train/a.jpg"]),
        ("labels/coco/test.json", ["images/test/a.jpg"]),
        ("labels/train/test.json", ["images/train/a.jpg"]),
        ("labels/train-test.json", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("labels/x.json", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("labels/trains.json", ["images/test/a.jpg", "images/train/a.jpg"]),
        ("labels/other/x.json", ["images/test/a.jpg", "images/train/a.jpg"]),
    ],
)
def test_of_images_that_fit_alike_the_one_in_the_label_file_s_folder_is_meant(file: str, found: list[str]) -> None:
    assert sorted(Matcher(IMAGES).find("a.jpg", with_extension=True, file=file)) == found
    assert Matcher(IMAGES).find("test/a.jpg", with_extension=True, file=file) == ["images/test/a.jpg"]
    assert Matcher(IMAGES).find("c.png", with_extension=True, file=file) == ["images/c.png"]


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(names, st.lists(names, max_size=5), st.booleans())
def test_what_matches_shares_the_stem_hence_the_bucket(reference: str, paths: list[str], bulk: bool) -> None:
    for path in Matcher([f"images/{p}.jpg" for p in paths]).find(reference, with_extension=bulk):
        assert stem(path) == stem(reference.replace("\\", "/"))
        assert bucket_of(path, 64) == bucket_of(reference.replace("\\", "/"), 64)


@pytest.mark.parametrize("reference", [".", "/", "./", "..", "\\", "images/."])
def test_a_reference_without_a_name_does_no_harm(reference: str) -> None:
    for with_extension in (True, False):
        assert Matcher(["images/..png", "images/.png", "images/a.png"]).find(
            reference, with_extension=with_extension
        ) in (
            [],
            ["images/..png"],
        )
