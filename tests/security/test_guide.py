"""docs/security.md is true: every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", GUIDE)


def names_in(file: Path) -> set[str]:
    """Names of the tests in a file, those in classes too."""
    found = (
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {node.name for node in found if node.name.startswith("test_")}


def test_every_named_test_is_there() -> None:
    assert [(file, test) for file, test in NAMED if test not in names_in(ROOT / file)] == []


def test_every_threat_has_a_test() -> None:
    rows = [line for line in GUIDE.partition("## Threats")[2].partition("Not defended")[0].splitlines() if "|" in line]
    assert len(rows) - 2 == len(NAMED) >= 30
    assert all(re.search(r"`tests/[\w/]+\.py::\w+` \|$", row) for row in rows[2:])
