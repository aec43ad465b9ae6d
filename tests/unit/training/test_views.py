from __future__ import annotations

import random
import statistics
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from emulator.azure_ml.training import views
from emulator.azure_ml.training.job import Row, UserError
from emulator.azure_ml.training.views import ViewSpec

Box = tuple[float, float, float, float]
WIDTH, HEIGHT, SIZE = 400, 300, 320


def drawn(box: Box) -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT), (60, 60, 60))
    corners = (box[0] * WIDTH, box[1] * HEIGHT, box[2] * WIDTH, box[3] * HEIGHT)
    ImageDraw.Draw(image).rectangle(corners, fill=(250, 30, 30))
    return image


def where_red_is(pixels: np.ndarray) -> Box | None:
    found = pixels.astype(int)
    y, x = np.nonzero(found[..., 0] > found[..., 1] + 60)
    if not len(x):
        return None
    return (x.min() / SIZE, y.min() / SIZE, (x.max() + 1) / SIZE, (y.max() + 1) / SIZE)


def iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    inner = max(0.0, width) * max(0.0, height)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return inner / (sum(areas) - inner)


def random_box(dice: random.Random) -> Box:
    x, y = dice.uniform(0.1, 0.6), dice.uniform(0.1, 0.6)
    return (x, y, x + dice.uniform(0.15, 0.3), y + dice.uniform(0.15, 0.3))


def row(*boxes: Box) -> Row:
    return Row(Path("x.jpg"), boxes, tuple(range(len(boxes))))


@pytest.mark.parametrize("flips", [False, True])
def test_boxes_follow_the_picture(flips: bool) -> None:
    dice, found = random.Random(3), []
    for number in range(60):
        box = random_box(dice)
        spec, seed = ViewSpec(1 + number % 5, SIZE, flips), f"image-{number}"
        boxes, _ = views.boxes_in_view(row(box), spec, seed)
        seen = where_red_is(views.pixels(drawn(box), spec, seed))
        if len(boxes) and seen is not None:
            found.append(iou(tuple(boxes[0]), seen))
    assert len(found) > 45
    assert statistics.median(found) >= 0.7
    assert min(found) > 0.4


def test_a_box_of_the_plain_view_is_exact() -> None:
    box = (0.25, 0.2, 0.6, 0.7)
    boxes, labels = views.boxes_in_view(row(box), ViewSpec(0, SIZE, flips=True), "any")
    seen = where_red_is(views.pixels(drawn(box), ViewSpec(0, SIZE, flips=True), "any"))
    assert seen is not None
    assert iou(box, seen) > 0.95
    assert boxes[0] == pytest.approx(box)
    assert labels.tolist() == [0]


def mirrors(flips: bool) -> int:
    found = [views.matrix(ViewSpec(n, SIZE, flips), f"image-{i}") for n in range(1, 5) for i in range(50)]
    return sum(m[0, 0] < 0 for m in found)


def test_nothing_is_mirrored_where_flips_are_off() -> None:
    assert mirrors(flips=False) == 0


def test_about_half_is_mirrored_where_flips_are_on() -> None:
    assert 60 <= mirrors(flips=True) <= 140


def test_a_view_is_the_same_each_time_and_other_for_another_image_or_number() -> None:
    spec, image = ViewSpec(2, SIZE, flips=False), drawn((0.3, 0.3, 0.6, 0.6))
    first = views.pixels(image, spec, "one")
    assert np.array_equal(first, views.pixels(image, spec, "one"))
    assert not np.array_equal(first, views.pixels(image, spec, "two"))
    assert not np.array_equal(first, views.pixels(image, ViewSpec(3, SIZE, flips=False), "one"))


def test_a_box_that_left_the_view_is_left_out() -> None:
    gone = kept = 0
    for number in range(40):
        spec = ViewSpec(1 + number % 5, SIZE, flips=False)
        edge, middle = (0.0, 0.0, 0.06, 0.06), (0.4, 0.4, 0.6, 0.6)
        boxes, labels = views.boxes_in_view(row(edge, middle), spec, str(number))
        assert len(boxes) == len(labels)
        gone += 0 not in labels
        kept += 1 in labels
    assert kept == 40
    assert 5 < gone < 40


def test_boxes_lie_within_the_view_and_have_an_area() -> None:
    dice = random.Random(5)
    for number in range(100):
        boxes, _ = views.boxes_in_view(row(random_box(dice)), ViewSpec(1, SIZE, flips=True), str(number))
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_an_image_without_boxes_has_none_in_any_view() -> None:
    boxes, labels = views.boxes_in_view(Row(Path("x"), (), (1,)), ViewSpec(1, SIZE, flips=False), "any")
    assert boxes.shape == (0, 4)
    assert labels.shape == (0,)


def test_keys_tell_views_apart_that_differ() -> None:
    specs = [ViewSpec(n, size, flips) for n in (0, 1, 2) for size in (224, 320) for flips in (False, True)]
    plain = {spec.key for spec in specs if spec.number == 0}
    assert len(plain) == 2  # a plain view is not mirrored, so flips share it
    assert len({spec.key for spec in specs}) == 10
    assert [s.number for s in views.specs(3, 320, flips=False)] == [0, 1, 2, 3]


def test_an_image_is_loaded_in_the_displayed_frame(tmp_path: Path) -> None:
    image, exif = Image.new("RGB", (40, 20)), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert views.load(tmp_path / "turned.jpg", 320).size == (20, 40)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_every_mode_is_loaded_as_rgb(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new(mode, (8, 8)).save(file)
    assert views.load(file, 320).mode == "RGB"


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0 cut"])
def test_an_unreadable_image_is_the_users_error_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.jpg").write_bytes(data)
    with pytest.raises(UserError, match=r"broken\.jpg cannot be read"):
        views.load(tmp_path / "broken.jpg", 320)


def test_a_missing_image_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.jpg"):
        views.load(tmp_path / "gone.jpg", 320)


def test_the_content_names_an_image_and_not_its_path(tmp_path: Path) -> None:
    for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(data)
    hashes = [views.content_hash(tmp_path / name) for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]
