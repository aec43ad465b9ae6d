"""The status page over time, under a person's hands: what changes, what stays, and what is said when nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.state import LoopState, Problem, Rollout
from tests.browser.test_dashboard import text_of
from tests.support.browser import NEEDS_IT, dom
from tests.support.predictions import NOW, champion, loop_state
from tests.support.stages import run, version
from tests.support.status_page import KEY, Site, status_site

pytestmark = NEEDS_IT
LOOK = 4
NO_ANSWER = "Visionloop does not answer; it is asked again every 4 seconds. What is shown is of "


def live(name: str = "cards") -> LoopState:
    made = loop_state()
    made.loop, made.champion, made.datasets = name, champion(), [version()]
    made.runs = [run(phase="Completed", metrics={"mean_average_precision": 0.6, "map50": 0.9}, rollout="rolled_back")]
    made.reasons = {"training": "Held until 23:59:30 UTC"}
    return made


@pytest.fixture
def site() -> Iterator[Site]:
    with status_site(NOW) as found:
        found.holds([live(), live("dice")])
        yield found


def once(selector: str, act: str) -> str:
    """A script that acts as soon as the page has such an element, whatever it had to wait for."""
    wait = f"const found = document.querySelector('{selector}'); if (!found) return; clearInterval(looking);"
    return f"const looking = setInterval(() => {{ {wait} {act} }}, 100);"


def seen(site: Site, profile: Path, more: str = "", *, looks: int = 1, width: int = 1200) -> str:
    return dom(f"{site.address}?code={KEY}{more}", profile, seconds=looks * LOOK - 1, width=width)


def test_what_a_loop_does_is_said_once_and_in_words(site: Site, tmp_path: Path) -> None:
    shown = text_of(seen(site, tmp_path))
    assert "Live cards Waiting." in " ".join(shown.split())
    assert "completed" in shown
    assert "Completed" not in shown
    assert "mean average precision 0.600, map50 0.900" in shown
    assert "rolled back" in shown
    assert "Held until 5:29:30" in shown, "in the browser's time, as the timeline"


def test_nobody_answers_for_a_while_and_then_again(site: Site, tmp_path: Path) -> None:
    site.silent_looks = frozenset({2})
    site.hands = """const heard = new Set(); document.body.dataset.rows = "";
    new MutationObserver(() => { heard.add(document.getElementById("message").textContent);
      document.body.dataset.heard = [...heard].join("|"); document.body.dataset.rows = document.querySelectorAll("tr").length;
    }).observe(document.getElementById("message"), { childList: true });"""
    source = seen(site, tmp_path, looks=4)
    assert NO_ANSWER in source.partition('data-heard="')[2].partition('"')[0]
    assert NO_ANSWER not in text_of(source)
    assert int(source.partition('data-rows="')[2].partition('"')[0]) > 5, "what was known stays"
    assert "vl-cards:1" in text_of(source)


def test_a_look_takes_neither_focus_nor_what_is_there(site: Site, tmp_path: Path) -> None:
    site.hands = once(
        "input[type=file]",
        """const button = document.querySelectorAll("nav button")[1]; button.focus(); button.known = found.known = true;
      setTimeout(() => { document.body.dataset.kept = [document.activeElement, document.querySelector("input[type=file]")]
        .map(node => node.known === true); }, 9000);""",
    )
    assert 'data-kept="true,true"' in seen(site, tmp_path, looks=4)
    assert site.looks >= 3


def test_a_loop_is_chosen_by_its_name_and_stays_in_the_address(site: Site, tmp_path: Path) -> None:
    site.hands = once(
        "input[type=file]",
        """document.body.dataset.heard = document.getElementById("message").textContent;
      document.querySelectorAll("nav button")[1].click(); document.body.dataset.address = location.search;""",
    )
    source = seen(site, tmp_path, "&loop=crads", looks=2)
    assert 'data-heard="There is no loop named crads. "' in source
    assert "no loop named" not in text_of(source)
    assert 'data-address="?loop=dice"' in source
    assert "<title>Live: dice | Visionloop</title>" in source


def test_without_a_key_or_a_loop_the_way_on_is_said(tmp_path: Path) -> None:
    with status_site(NOW) as site:
        site.hands = once(
            "#form:not([hidden])",
            f"""document.body.dataset.heard = document.getElementById("message").textContent;
      document.getElementById("key").value = "{KEY}"; found.requestSubmit();""",
        )
        source = dom(site.address, tmp_path, seconds=2 * LOOK)
    assert "`python3 dev.py serve` prints it" in source.partition('data-heard="')[2].partition('"')[0]
    assert "`python3 dev.py upload FOLDER NAME`" in text_of(source)


@pytest.mark.parametrize(
    ("task", "wishes", "said"),
    [
        ("object_detection", "threshold=0.3", "1 prediction of at least 0.3 in belt.png"),
        ("image_classification", "top_k=5", "The likeliest for belt.png"),
    ],
)
def test_a_picture_is_shown_with_what_the_live_model_finds(
    site: Site, tmp_path: Path, task: Any, wishes: str, said: str
) -> None:
    made = live()
    assert made.champion is not None
    made.champion.task = task
    site.holds([made])
    site.hands = once(
        "input[type=file]",
        """const held = new DataTransfer(); held.items.add(new File(["a picture"], "belt.png", { type: "image/png" }));
      found.files = held.files; found.dispatchEvent(new Event("change"));""",
    )
    source = seen(site, tmp_path, looks=3)
    assert f'alt="{said}" src="data:image/png;base64,iVBOR' in source
    assert "0.940" in text_of(source)
    assert [path for path, _ in site.posted] == [
        f"/api/loops/cards/predict?{wishes}",
        f"/api/loops/cards/predict?{wishes}&render=png",
    ]
    assert {body for _, body in site.posted} == {b"a picture"}


@pytest.mark.parametrize("width", [500, 1200])
def test_nothing_sticks_out(site: Site, tmp_path: Path, width: int) -> None:
    made = live("a-loop-with-a-name-of-forty-letters-1234")
    made.catalogue.images_per_class = {f"{'x' * 90}{n}": n for n in range(30)}
    made.catalogue.problems = [Problem(code="box-outside", file=f"labels/{'y' * 200}.xml", found="z" * 300)] * 50
    made.catalogue.problem_count = 1000
    made.reasons = {"training": "w" * 400}
    made.rollout = Rollout(
        run=2, model=champion().model, dataset_version=1, endpoint="e", slot="green", step="approve",
        started=NOW, step_started=NOW,
    )  # fmt: skip
    site.holds([made, *(live(f"loop-{n}") for n in range(30))])
    site.hands = once(
        "#problems",
        """const wide = n => n.scrollWidth > n.clientWidth + 1, all = [document.documentElement, ...document.querySelectorAll("section")];
      document.body.dataset.out = all.filter(wide).map(n => n.textContent.slice(0, 30)).join("|");""",
    )
    source = seen(site, tmp_path, f"&loop={made.loop}", looks=2, width=width)
    assert 'data-out=""' in source
    assert "1,000 problems" in text_of(source)
    assert "Waits for your yes" in text_of(source)
    assert f"POST /api/loops/{made.loop}/rollout/promote (yes)" in text_of(source)
