from __future__ import annotations

import json
import re
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from services.errors import BadRequest, NotFound
from services.rollout.card_text import markdown
from services.rollout.pictures import MOST_DRAWN, confusion, picture, precision_over_recall
from services.status.cards import Cards
from services.training.job import config_hash
from tests.support.rollouts import ENDPOINT, add, live, quality, settle
from tests.support.stages import LOOP, World


def card(w: World, version: str = "2") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Cards(w.fake.system).card(LOOP, version, "json")[0])
    return found


def text(w: World, version: str = "2") -> str:
    content, kind = Cards(w.fake.system).card(LOOP, version, "md")
    assert kind == "text/markdown"
    return content.decode()


def promoted() -> World:
    w = live()
    add(w, 2, metrics={"mean_average_precision": 0.9}, best_child="trial-7", cost=1.25, gpu_hours=2.0)
    settle(w)
    return w


def test_a_card_has_both_models_numbers_and_the_decision() -> None:
    w = promoted()
    found = card(w)
    assert found["outcome"] == "promoted"
    assert found["metrics"]["challenger"]["map50"] == pytest.approx(91 / 101)
    assert found["metrics"]["champion"]["map50"] == pytest.approx(81 / 101)
    assert found["per_class"]["champion"]["nut"]["map50"] == pytest.approx(81 / 101)
    assert found["interval"]["resamples"] > 900
    assert found["holdout_images"] == 10
    assert found["data"]["number"] == 1
    assert found["data"]["annotations_per_class"] == {"bolt": 60, "nut": 50}
    assert found["lineage"]["compared_with"] == "vl-nuts:1"
    assert (found["lineage"]["trial"], found["lineage"]["endpoint"]) == ("trial-7", ENDPOINT)
    assert (found["training"]["cost"], found["training"]["seconds"]) == (1.25, 3600.0)
    assert found["latency_ms"]["challenger"] >= 0


def test_the_page_says_the_same() -> None:
    page = text(promoted())
    assert page.startswith("# vl-nuts:2\n")
    assert "**promoted**: mean_average_precision: challenger 0.9010, champion 0.8020" in page
    assert "| map50 | 0.901 | 0.802 |" in page
    assert "- trial metrics: `mean_average_precision 0.9`" in page
    assert not re.search(r"[{}\[\]]|None|True|False", page.partition("## Lineage")[2])
    assert "| nut | 0.901 | 0.901 | 0.802 | 0.802 |" in page
    assert "- compared with: `vl-nuts:1`" in page
    assert "- cost: `1.25`" in page
    fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


def test_only_the_settings_that_the_model_was_trained_with_are_on_its_card() -> None:
    """loop.yaml may have been changed between the training and the decision."""
    w = promoted()
    assert card(w)["training"]["settings"].startswith("loop.yaml has others by now")
    assert "limits" not in card(w)["training"]
    same = config_hash(w.state.config.config, w.state.version(1))
    add(w, 3, config_hash=same, cost=1.25)
    settle(w)
    found = card(w, "3")["training"]
    assert (found["kind"], found["limits"]["max_trials"], found["currency"]) == ("automl", 4, "USD")
    assert "command" not in found


def test_a_first_model_has_a_card_without_a_champion() -> None:
    found = card(live(), "1")
    assert list(found["metrics"]) == ["challenger"]
    assert found["lineage"]["compared_with"] is None
    assert found["lineage"]["not_compared_because"] == "there is no champion yet"
    assert found["interval"] is None


def test_a_rejected_model_has_one_too() -> None:
    w = live()
    quality(w).right["vl-nuts:2"] = 3
    add(w, 2)
    settle(w)
    assert card(w)["outcome"] == "rejected"
    assert card(w)["decision"] == w.events[-1].data["reason"]


def test_measurements_that_were_deleted_hold_no_rollout_up() -> None:
    w = live()
    add(w, 2)
    for _ in range(60):
        w.wake()
        if w.state.rollout and w.state.rollout.step == "abandon":
            break
        w.fake.clock.advance(31)
    settle(w)
    assert w.state.run(2).rollout == "promoted"


@pytest.mark.parametrize("version", ["9", "../../keys", "1/2", "", "x" * 40, "²"])
def test_there_is_no_card_of_another_version(version: str) -> None:
    with pytest.raises(NotFound):
        Cards(live().fake.system).card(LOOP, version, "json")


def test_another_format_is_refused() -> None:
    with pytest.raises(BadRequest, match="format must be one of json, md"):
        Cards(live().fake.system).card(LOOP, "1", "html")


def test_the_curve_has_its_ends_where_they_belong() -> None:
    drawn = precision_over_recall({"challenger": [1.0, 0.5, 0.0], "champion": [1.0] * 3, "empty": []})
    lines = re.findall(r'points="([^"]+)"', drawn)
    assert lines == ["40.0,40.0 160.0,160.0 280.0,280.0", "40.0,40.0 160.0,40.0 280.0,40.0"]
    fromstring(drawn)


def test_a_table_of_confusions_draws_the_largest_classes_and_no_markup() -> None:
    classes = [f"<{n}>" for n in range(30)]
    counts = [[n * (n == m) for m in range(30)] for n in range(30)]
    drawn = confusion(classes, counts)
    fromstring(drawn)
    assert drawn.count("<rect") == MOST_DRAWN**2 + 1  # and the ground
    assert "&lt;29&gt;" in drawn
    assert "&lt;3&gt;" not in drawn


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert picture({"challenger": {}}) == ""
    assert picture({"challenger": {"precision_at_recall": []}}) == ""
    assert "<svg" in picture({"challenger": {"classes": ["a"], "confusion": [[1]]}})


def test_names_are_no_markup() -> None:
    made = card(promoted())
    made["per_class"] = {"challenger": {"a|<b>\n`c`": {"f1": 1.0}}}
    made["decision"] = "<script>"
    page = markdown(made)
    assert r"| a\|&lt;b> `c` | 1 |" in page
    assert "<script>" not in page
