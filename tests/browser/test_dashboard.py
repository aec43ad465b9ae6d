"""The status page in a real browser, over the real documents of a loop whose names are hostile."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.state import CatalogueState, Champion, Event, LoopState, ModelRef, Problem, TrainingRun
from services.status.page import headers, page
from services.training.trials import KeptRun, KeptTrial
from tests.support.browser import NEEDS_IT, dom
from tests.support.status_page import KEY, Site, status_site

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = NEEDS_IT


def loop_state() -> LoopState:
    model = ModelRef(name="cards", version="2")
    run = TrainingRun(number=2, job="vl-cards-x", dataset_version=2, config_hash="h", status="completed", intended=NOW)
    run.cost = 0.526
    run.metrics, run.rollout, run.reason = {"mean_average_precision": 0.71}, "promoted", HOSTILE
    champion = Champion(
        run=2, model=model, dataset_version=2, task="object_detection", classes=["ace"], endpoint="vl-cards",
        slot="green", scoring_uri="https://x", metric="mean_average_precision", score=0.7123, promoted=NOW,
    )  # fmt: skip
    found = Problem(
        code="box-outside", file=f"labels/{HOSTILE}.xml", place="object 3", expected="inside", found=HOSTILE
    )
    catalogue = CatalogueState(
        images=80, labelled=75, classes=[HOSTILE, "ace"], images_per_class={HOSTILE: 2, "ace": 73}, problems=[found]
    )
    catalogue.annotations_per_class, catalogue.problem_count = {HOSTILE: 2, "ace": 74}, 140
    return LoopState(
        loop="cards", created=NOW, catalogue=catalogue, runs=[run], champion=champion, reasons={"training": HOSTILE}
    )


@pytest.fixture
def site() -> Iterator[Site]:
    """The page and its documents, as the app serves them."""
    event = Event(
        id="cards-1",
        source="/s",
        type="visionloop.rollout.promoted",
        subject="cards",
        time=NOW,
        data={"reason": HOSTILE},
    )
    curve = KeptTrial(name="t_0", status="completed", metrics={"map50": [(1, 0.2), (2, 0.6)]})
    with status_site(NOW) as found:
        found.holds([loop_state()], [event])
        found.keeps("cards", KeptRun(run=2, job="j", trials=[curve]))
        yield found


@pytest.fixture
def address(site: Site) -> str:
    return site.address


def text_of(source: str) -> str:
    body = re.sub(r"<(script|style).*?</\1>", "", source, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def test_a_loop_is_shown_and_hostile_names_stay_text(address: str, tmp_path: Path) -> None:
    source = dom(f"{address}?code={KEY}", tmp_path)
    shown = text_of(source)
    for wanted in (
        "cards:2",
        "0.712",
        "20 of 20 images",
        f"Too few images of: {HOSTILE} (2 of 5)",
        "75 / 80",
        "Problems (140)",
        "box-outside",
        "object 3",
        "The worst 1 of them; GET /api/loops/cards/problems tells of all.",
        "rollout.promoted",
        "promoted",
        "What comes next",
        "No dataset version is registered yet; 75 labelled images, 20 needed",
        "0.53 USD",
    ):
        assert wanted in shown
    assert shown.count("onerror") >= 4
    assert re.findall('<img[^>]*?alt="([^"]*)', source) == ["Trials of run 2, by epoch"]
    assert "%3Cpolyline" in source
    assert "<title>Live: cards | Visionloop</title>" in source


def test_a_wrong_key_is_asked_for_again(address: str, tmp_path: Path) -> None:
    shown = text_of(dom(f"{address}?code=wrong", tmp_path))
    assert "The key does not open this" in shown
    assert "cards:2" not in shown


def test_the_key_does_not_stay_in_the_page(address: str, tmp_path: Path) -> None:
    assert KEY not in dom(f"{address}?code={KEY}", tmp_path)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    assert not re.search(r"(src|href)\s*=|@import|https?://", page())
    policy = headers()["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_a_script_that_got_in_all_the_same_does_not_run(site: Site, tmp_path: Path) -> None:
    """The policy names the page's own script by its hash: markup in a name could not run even if it were not escaped."""
    site.html = page().replace("</main>", f"{HOSTILE}<script>document.title = 'owned'</script></main>")
    source = dom(f"{site.address}?code={KEY}", tmp_path)
    assert "<title>Live: cards | Visionloop</title>" in source
    assert "cards:2" in text_of(source), "the page's own script still runs"
