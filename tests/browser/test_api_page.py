"""The page that reads and tries the API, in a real browser, before the app itself behind our host."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.openapi.page import headers, page
from services.openapi.table import OPERATIONS
from services.status.page import headers_of
from services.webhooks.kinds import KINDS
from tests.support import browser
from tests.support.browser import NEEDS_IT
from tests.support.in_process import KEY, faked_host
from tests.support.small_server import Handler, serving

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
PERSON = """<script>
const wanted = setInterval(() => {
  const box = document.getElementById(WHAT);
  if (!box) return;
  clearInterval(wanted);
  box.open = true;
  setTimeout(() => {
    const fields = [...box.querySelectorAll("input:not([type=file])")];
    VALUES.forEach((value, number) => { fields[number].value = value; });
    box.querySelector("button").click();
  }, 50);
}, 20);
</script>"""

pytestmark = NEEDS_IT


class Site:
    """The app on a port, with a person's hands in the page where some are given."""

    def __init__(self) -> None:
        self.address, self.hands, self.asked = "", "", list[tuple[str, str, str | None]]()
        self.client_key = ""

    def does(self, operation: str, *values: str) -> None:
        self.hands = PERSON.replace("WHAT", repr(operation)).replace("VALUES", repr([*values]))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site()
    with faked_host(tmp_path) as (host, _):
        made = host.ask("POST", "/api/loops/cards/keys", content=b'{"scopes": ["admin"]}').json()
        found.client_key = made["key"]

        class Page(Handler):
            def ask(self) -> None:
                body = self.body()
                found.asked.append((self.command, self.path, self.headers.get("x-functions-key")))
                client = self.headers.get("x-api-key") or ""
                key = self.headers.get("x-functions-key") or ""
                given = {"content-type": self.headers.get("content-type") or "", "content-length": str(len(body))}
                given |= {"x-api-key": client} if client else {}
                told = host.ask(self.command, self.path, key=key, headers=given, content=body)
                content, shown = told.content, dict(told.headers)
                if self.path.startswith("/api/docs") and found.hands:
                    content = content.replace(b"</main>", b"</main>" + found.hands.encode())
                    shown |= headers_of(content.decode())
                self.answer(told.status_code, content, {n: v for n, v in shown.items() if n != "content-length"})

            do_GET = do_POST = do_PATCH = do_DELETE = ask  # the names that the server asks for

        with serving(Page) as address:
            found.address = f"{address}/api/docs"
            yield found


def dom(address: str, profile: Path) -> str:
    return re.sub(r"<script>.*?</script>", "", browser.dom(address, profile), flags=re.DOTALL)


def test_every_operation_and_event_is_listed(site: Site, tmp_path: Path) -> None:
    shown = dom(site.address, tmp_path / "profile")
    assert set(re.findall(r'<details id="(\w+)"', shown)) == {o.function for o in OPERATIONS}
    assert all(f"visionloop.{kind}" in shown for kind in KINDS)
    assert f"{len(KINDS)} events" in shown


def test_a_request_is_sent_with_the_key_and_its_answer_shown(site: Site, tmp_path: Path) -> None:
    site.does("loop_status", "cards")
    shown = dom(f"{site.address}?code={KEY}", tmp_path / "profile")
    assert ("GET", "/api/loops/cards/status", KEY) in site.asked
    assert "200 OK" in shown
    assert '"labelled": 12' in shown
    assert KEY not in shown, "the key is in no attribute and no text of the page"


def test_a_client_key_goes_where_one_is_asked_for_and_nowhere_else(site: Site, tmp_path: Path) -> None:
    site.does("client_status", "cards")
    shown = dom(f"{site.address}?code={site.client_key}", tmp_path / "profile")
    assert ("GET", "/api/client/loops/cards/status", None) in site.asked
    assert "200 OK" in shown
    assert shown.count("· client key") == sum(o.by_client for o in OPERATIONS)
    assert shown.count("· no key") == sum(o.is_open and not o.by_client for o in OPERATIONS)


def test_what_is_needed_is_asked_for_before_anything_is_sent(site: Site, tmp_path: Path) -> None:
    site.does("loop_status", "")
    assert "loop: needed, and empty" in dom(f"{site.address}?code={KEY}", tmp_path / "profile")
    assert [path for _, path, _ in site.asked if "/loops/" in path] == []


def test_bodies_begin_with_what_they_may_hold(site: Site, tmp_path: Path) -> None:
    site.hands = """<script>setTimeout(() => {
      const found = {};
      for (const box of document.querySelectorAll("details[id]")) { box.open = true; }
      setTimeout(() => {
        for (const text of document.querySelectorAll("textarea")) found[text.closest("details").id] = text.value;
        document.body.dataset.bodies = JSON.stringify(found);
      }, 500);
    }, 1500)</script>"""
    [shown] = re.findall(r'data-bodies="([^"]*)"', dom(site.address, tmp_path / "profile"))
    bodies = {
        name: json.loads(text)
        for name, text in json.loads(html.unescape(shown)).items()
        if text.startswith(("{", '"', "null"))
    }
    assert bodies["webhooks_register"] == {
        "url": "", "events": [], "loops": [], "description": "", "handshake": False, "rate": None,
    }  # fmt: skip
    assert bodies["client_items"] == {"items": [{"name": "", "image": None, "label": None}]}
    assert bodies["keys_add"] == {"name": "", "scopes": ["predict"], "per_minute": None, "per_day": None}
    assert all(isinstance(body, dict) for body in bodies.values())


def test_nothing_is_cut_off_on_a_telephone(site: Site, tmp_path: Path) -> None:
    site.hands = """<script>setTimeout(() => {
      document.body.style.width = "300px";
      const wide = [...document.querySelectorAll("summary")].filter(one => one.scrollWidth > one.clientWidth);
      document.body.dataset.wide = wide.length;
    }, 1500)</script>"""
    assert 'data-wide="0"' in dom(site.address, tmp_path / "profile")


def test_without_a_key_the_host_says_so(site: Site, tmp_path: Path) -> None:
    site.does("status")
    assert "401 Unauthorized" in dom(site.address, tmp_path / "profile")


def test_what_was_typed_stays_a_value_and_an_answer_stays_text(site: Site, tmp_path: Path) -> None:
    site.does("webhooks_get", HOSTILE)
    shown = dom(f"{site.address}?code={KEY}", tmp_path / "profile")
    assert "<title>Visionloop's HTTP</title>" in shown
    assert 'onerror="' not in shown


def test_the_page_needs_nothing_from_elsewhere() -> None:
    assert not re.search(
        r"(src|href)\s*=\s*[\"']|@import|https?://|innerHTML|insertAdjacent|document\.write|eval\(", page()
    )
    assert "default-src 'none'" in headers()["content-security-policy"]
    assert "script-src 'sha256-" in headers()["content-security-policy"]
