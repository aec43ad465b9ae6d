from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.catalogue import documents, reading, resolve
from services.errors import BadRequest, NotFound
from services.labels.problems import CODES
from services.state import Problem
from services.state_store import StateStore
from services.status.problems import ProblemReports
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc

OUTSIDE = (0, 0, 90, 10)


def report(house: House, **query: str) -> dict[str, Any]:
    fakes = house.fakes
    found = ProblemReports(StateStore(fakes.system, fakes.clock), fakes.system).report(LOOP, query)
    json.dumps(found)
    return found


@pytest.fixture
def house() -> House:
    house = House()
    house.labelled(30)
    for name in ("a", "b", "c"):
        house.put(f"images/{name}.png", picture(ord(name)))
        house.put(f"images/{name}.xml", voc(("nut", OUTSIDE)))
    house.put("labels/more.xml", voc(("nut", BOX)))
    house.put("notes.txt", b"?")
    house.step()
    return house


def test_everything_the_worst_first_with_counts(house: House) -> None:
    found = report(house)
    assert [p["code"] for p in found["problems"]] == [
        *["box-outside"] * 3, "file-misplaced", "image-unlabelled", "label-waiting",
    ]  # fmt: skip
    assert (found["count"], found["kept"], found["next"]) == (6, 6, None)
    assert found["by_severity"] == {"error": 3, "warning": 1, "note": 2}
    assert found["by_code"] == {"box-outside": 3, "image-unlabelled": 1, "file-misplaced": 1, "label-waiting": 1}
    assert all(p["help"] and p["expected"] and p["found"] for p in found["problems"])


def test_pages_hold_each_problem_once(house: House) -> None:
    pages, offset = [], "0"
    while offset != "None":
        found = report(house, limit="2", offset=offset)
        pages.append([(p["code"], p["file"]) for p in found["problems"]])
        offset = str(found["next"])
    assert [len(page) for page in pages] == [2, 2, 2]
    assert len({each for page in pages for each in page}) == 6


def test_severity_and_code_choose(house: House) -> None:
    assert {p["code"] for p in report(house, severity="note")["problems"]} == {"image-unlabelled", "label-waiting"}
    found = report(house, code="box-outside")
    assert (found["kept"], found["count"]) == (3, 6)
    with pytest.raises(BadRequest, match="no-such is no code of a problem"):
        report(house, code="no-such")


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"offset": "-1"}, {"offset": "²"}, {"severity": "bad"}]
)
def test_a_wrong_query(house: House, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        report(house, **query)


def test_no_such_loop(house: House) -> None:
    with pytest.raises(NotFound):
        ProblemReports(StateStore(house.fakes.system, house.fakes.clock), house.fakes.system).report("nobody", {})


def test_what_is_wrong_with_loop_yaml_is_in_it(house: House) -> None:
    def spoil(state: Any) -> None:
        state.config.problems = [Problem(code="config-invalid", file="loop.yaml")]

    house.change_state(spoil)
    found = report(house)
    assert (found["problems"][-1]["code"], found["by_code"]["config-invalid"]) != ("", 0)
    assert found["by_severity"]["error"] == 4


def test_a_catalogue_that_was_replaced_meanwhile_leaves_what_the_state_has(house: House) -> None:
    house.change_state(lambda state: setattr(state.catalogue, "blob", "catalogue/parts/index-gone.json"))
    assert report(house)["by_severity"]["error"] == 3


def test_many_notes_hide_no_error_and_everything_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (documents, reading, resolve):
        monkeypatch.setattr(module, "MOST_PROBLEMS", 5)
    house = House()
    house.put("labels/all.json", coco({f"{i}.png": [("nut", BOX)] for i in range(50)}))
    broken = json.loads(coco({f"x{i}.png": [("nut", BOX)] for i in range(9)}))
    for image in broken["images"]:
        image["file_name"] = 7
    house.put("labels/broken.json", json.dumps(broken).encode())
    house.step()
    found = report(house)
    assert found["by_code"]["label-waiting"] == 50
    assert found["by_code"]["coco-image-invalid"] == 9
    assert [p["severity"] for p in found["problems"]] == ["error"] * 5


def test_the_example_of_the_guide_is_such_a_report() -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    example = next(e for e in map(json.loads, re.findall(r"```json\n(.*?)```", text, re.DOTALL)) if "by_code" in e)
    assert example.keys() == report(_empty()).keys()
    assert set(example["by_code"]) <= set(CODES)
    for each in example["problems"]:
        assert Problem.model_validate(each).model_dump(mode="json") == each
        assert each["help"] == CODES[each["code"]].help


def _empty() -> House:
    house = House()
    house.step()
    return house
