"""docs/api.md is true: every route, every error, and the shapes of its examples."""

from __future__ import annotations

import json
import re
from pathlib import Path

from services.inference.answer import Answer
from services.problem import kind_of
from services.status.explained import explained
from tests.support.error_tree import tree
from tests.support.http_request import functions
from tests.support.stages import NOW, state, version

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)]


def test_every_route_is_listed_and_no_other() -> None:
    routes = set()
    for found in functions().values():
        for binding in map(json.loads, found.get_raw_bindings()):
            if binding["type"] == "httpTrigger":
                routes |= {f"{method} /api/{binding['route']}" for method in binding["methods"]}
    assert set(re.findall(r"^\| `([A-Z]+ /api/\S+)` \|", GUIDE, re.MULTILINE)) == routes


def test_every_error_is_listed_with_its_status() -> None:
    listed = set(re.findall(r"^\| (\d+) \| `([a-z-]+)` \|", GUIDE, re.MULTILINE))
    assert listed == {(str(kind.status), kind_of(kind).rpartition(":")[2]) for kind in tree()}


def test_the_answer_of_the_example_is_an_answer() -> None:
    [answer] = [e for e in EXAMPLES if "predictions" in e]
    assert Answer.model_validate(answer).model_dump(mode="json", exclude_none=True) == answer
    box, normal = answer["predictions"][0]["box"], answer["predictions"][0]["normalized_box"]
    size = {"x": answer["image"]["width"], "y": answer["image"]["height"]}
    assert all(abs(box[k] - normal[k] * size[k[0]]) < 0.01 for k in box)


def test_the_error_of_the_example_has_the_members_of_one() -> None:
    [error] = [e for e in EXAMPLES if "detail" in e]
    assert {"type", "title", "status", "detail", "loop", "doing", "progress"} == error.keys()


def test_the_explanation_of_the_example_has_the_members_of_one() -> None:
    [example] = [e for e in EXAMPLES if "parts" in e]
    short = version(train_images=30, validation_images=7, images_per_class={"bolt": 33, "nut": 4})
    made = state(config={"training": {"first_threshold": {"images": 50}}}, datasets=[short])
    found = json.loads(json.dumps(explained(made, NOW)))
    assert example["parts"] == [p for p in found["parts"] if p["part"] == "training"]
    assert set(example["sentences"]) <= set(found["sentences"])
    assert example.keys() == found.keys()
