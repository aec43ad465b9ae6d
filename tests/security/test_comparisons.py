"""Secrets are compared in constant time: `==` would tell, by its time, how much of a guess is right."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"(^|_)(secret|signature|mac|hmac|password|token)s?($|_)", re.IGNORECASE)


def compared(source: str) -> list[str]:
    """Comparisons by `==`, `!=` or `in` with something that is named like a secret."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
        ):
            sides = [node.left, *node.comparators]
            if any(_is_secret(side) for side in sides) and not any(isinstance(side, ast.Constant) for side in sides):
                found.append(ast.unparse(node))
    return found


def _is_secret(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        node = node.func
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return bool(SECRET.search(name))


@pytest.mark.parametrize("folder", ["services", "triggers"])
def test_no_secret_is_compared_as_texts_are(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert {str(file.relative_to(ROOT)): found for file in files if (found := compared(file.read_text()))} == {}


@pytest.mark.parametrize(
    "source", ["secret == given", "given != self._token", "x in found.secrets", "_mac(system, text) == mac"]
)
def test_it_would_notice(source: str) -> None:
    assert compared(source)
