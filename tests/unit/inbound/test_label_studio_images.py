"""Which image a message of Label Studio is about: never another one, and no label stays where it was taken from."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from services.errors import BadRequest
from services.inbound.notes import Notes
from tests.unit.inbound.test_label_studio import House, annotation, deletion, message, rectangle

PAIR = {"front": "cards/images/front/1.jpg", "back": "cards/images/back/1.jpg"}
CONFIG = """<View><Image name="one" value="$front"/><Image name="two" value="$back"/><Text name="text" value="$remark"/>
<Image name="pages" valueList="$pages"/><RectangleLabels name="label" toName="one"/></View>"""


@pytest.fixture
def house() -> House:
    return House()


def about(data: dict[str, Any], *results: dict[str, Any], config: str | None = CONFIG, minute: int = 1) -> Any:
    found = message("ANNOTATION_UPDATED", annotation(17, minute, result=[*results]))
    project = {"id": 2} if config is None else {"id": 2, "label_config": config}
    return found | {"task": {"id": 5, "data": data}, "project": project}


def box(to_name: str, **more: Any) -> dict[str, Any]:
    return rectangle("ace") | {"to_name": to_name} | more


def files(house: House) -> list[str]:
    return sorted(name.removeprefix("cards/labels/label-studio/") for name in house.cloud.data.blobs)


def test_shapes_go_to_the_image_that_the_configuration_names(house: House) -> None:
    house.send(about(PAIR, box("two")))
    assert files(house) == ["back/1.json"]
    house.send(about(PAIR, box("one"), minute=2))
    assert files(house) == ["front/1.json"]


@pytest.mark.parametrize("config", [None, "", "<View", "<View/>", '<View><Image name="two"/></View>', "<!DOCTYPE x>"])
def test_without_a_configuration_the_names_of_the_data_hold(house: House, config: str | None) -> None:
    house.send(about(PAIR, box("back"), config=config))
    assert files(house) == ["back/1.json"]
    with pytest.raises(BadRequest, match="several images"):
        house.send(about(PAIR, box("two"), config=config))
    assert files(house) == ["back/1.json"]
    assert len([*Notes(house.cloud.system).list("cards")]) == 1, "it is told"


def test_pages_of_a_list_are_images_of_their_own(house: House) -> None:
    data = {"pages": ["cards/images/a/1.jpg", "cards/images/a/2.jpg"]}
    house.send(about(data, box("pages", item_index=1)))
    assert files(house) == ["a/2.json"]
    with pytest.raises(BadRequest, match="several images"):
        house.send(about(data, box("pages", item_index=0), box("pages", item_index=1)))


def test_an_annotation_of_several_images_without_shapes_is_of_none_of_them(house: House) -> None:
    house.send(about(PAIR, box("two")))
    with pytest.raises(BadRequest, match="several images"):
        house.send(about(PAIR, minute=2))
    assert files(house) == ["back/1.json"]
    skipped = about(PAIR, minute=3)
    skipped["annotation"]["was_cancelled"] = True
    house.send(skipped)
    assert files(house) == []


def test_a_task_whose_image_is_another_one_now_takes_its_labels_along() -> None:
    """In every order: the image before has no label any more that nobody drew on it."""
    moves = [message("ANNOTATION_UPDATED", annotation(17, n, "ace"), f"cards/images/{n}.jpg") for n in (1, 2, 3)]
    for order in itertools.permutations([*moves, moves[0]]):
        house = House()
        for each in order:
            house.send(each)
        assert files(house) == ["3.json"]
        house.send(deletion(17))
        assert files(house) == []


def test_of_several_annotations_each_is_of_the_task_that_it_names(house: House) -> None:
    both = [annotation(1, 1, "ace"), annotation(2, 1, "jack", task=6)]
    one = {"id": 5, "data": {"image": "cards/images/1.jpg"}}
    house.send({"action": "ANNOTATIONS_CREATED", "annotation": both, "task": [one]})
    house.work()
    assert files(house) == ["1.json"]
    assert house.cloud.data.blobs["cards/labels/label-studio/1.json"].data.count(b"ace") == 1
    assert len([*Notes(house.cloud.system).list("cards")]) == 1, "the other is told"


def test_a_process_may_die_while_labels_move() -> None:
    class Killed(BaseException):
        pass

    for at in range(100):
        house, left = House(), [at]
        house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace"), "cards/images/1.jpg"))
        moved = message("ANNOTATION_UPDATED", annotation(17, 2, "ace"), "cards/images/2.jpg")

        def hook(_: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Killed

        house.cloud.on_call = hook
        was_killed = False
        try:
            house.send(moved)
        except Killed:
            was_killed = True
        house.cloud.on_call = lambda _: None
        house.send(moved)
        assert files(house) == ["2.json"]
        assert json.loads(house.cloud.data.blobs["cards/labels/label-studio/2.json"].data)["labels"]
        if not was_killed:
            assert at > 10
            return
    raise AssertionError("it never came through")
