"""What of the status page can be judged without a browser: its policy, and whether its colours can be read."""

from __future__ import annotations

import re

import pytest

from services.status.page import headers, page

READABLE = 4.5
"""WCAG 2.2's least contrast of text (success criterion 1.4.3)."""


def colours(dark: bool) -> dict[str, str]:
    found = re.findall(r":root \{(.*?)\}", page(), re.DOTALL)[: 2 if dark else 1]
    return {name: value for part in found for name, value in re.findall(r"--([\w-]+):(#\w+)", part)}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(d * 2 for d in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((text, ground) for text in ("ink", "soft", "accent") for ground in ("card", "ground", "live")),
        *((text, "card") for text in ("good", "warn", "bad")),
        ("bad", "ground"),
        ("on-accent", "accent"),
    ],
)
def test_every_text_can_be_read_on_its_ground(text: str, ground: str, dark: bool) -> None:
    found = colours(dark)
    low, high = sorted((luminance(found[text]), luminance(found[ground])))
    assert (high + 0.05) / (low + 0.05) >= READABLE


def test_the_page_is_whole_and_its_one_script_is_the_one_that_may_run() -> None:
    assert "dashboard." not in page()
    assert page().count("<script>") == 1
    assert headers()["content-security-policy"].count("'sha256-") == 1
