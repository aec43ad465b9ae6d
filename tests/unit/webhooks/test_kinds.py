"""The kinds of events that receivers choose among are the kinds that the product tells."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from services.webhooks.kinds import KINDS, is_pattern, matches

ROOT = Path(__file__).resolve().parents[3]


@cache
def told() -> set[str]:
    """The first argument of every `tell(...)`; one written as `rollout.{kind}` stands for every kind of rollout."""
    found = set()
    for file in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "tell":
                kind = node.args[0]
                if isinstance(kind, ast.Constant):
                    found.add(str(kind.value))
                elif isinstance(kind, ast.JoinedStr):
                    found.add("".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in kind.values))
    return found


def test_everything_that_is_told_is_a_kind() -> None:
    assert len(told()) >= 15
    assert all(is_pattern(kind) for kind in told())


def test_every_kind_is_told() -> None:
    unheard = {k for k in KINDS if not any(matches(pattern, k) for pattern in told())}
    assert unheard == {"webhook.test", "prediction.done", "webhook.disabled"}, "those are of no loop"


@pytest.mark.parametrize(
    "pattern", ["training.*", "*", "visionloop.*", "rollout.promoted", "*.failed", "visionloop.loop.error"]
)
def test_a_pattern_is_about_something(pattern: str) -> None:
    assert is_pattern(pattern)


@pytest.mark.parametrize("pattern", ["", "Training.*", "trainning.*", "training", "visionloop", "visionloop."])
def test_a_misspelt_one_is_not(pattern: str) -> None:
    assert not is_pattern(pattern)
