"""What is made of mutmut's notes; mutmut itself takes minutes and is run by its own command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devtools import mutation
from devtools.console import Stop

SOURCE = """\
import functools


@functools.cache
def judge(seen: int) -> bool:
    \"\"\"Whether it is enough.\"\"\"
    least = 3
    return seen > least


class Facts:
    def _new(self) -> int:
        return 1
"""
CHANGED = (
    SOURCE
    + """
def x_judge__mutmut_orig(seen: int) -> bool:
    \"\"\"Whether it is enough.\"\"\"
    least = 3
    return seen > least


def x_judge__mutmut_1(seen: int) -> bool:
    \"\"\"Whether it is enough.\"\"\"
    least = 3
    return seen >= least


def xǁFactsǁ_new__mutmut_orig(self) -> int:
    return 1


def xǁFactsǁ_new__mutmut_2(self) -> int:
    return 2
"""
)
JUDGE, NEW = "pure.rules.x_judge__mutmut_1", "pure.rules.xǁFactsǁ_new__mutmut_2"


def tree(root: Path, codes: dict[str, int | None]) -> Path:
    """A project that mutmut has run in."""
    (root / "pure").mkdir()
    (root / "pure" / "rules.py").write_text(SOURCE)
    folder = root / "mutants" / "pure"
    folder.mkdir(parents=True)
    (folder / "rules.py").write_text(CHANGED)
    (folder / "rules.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    return root


def test_what_survived_is_told_with_its_place_in_the_real_file(tmp_path: Path) -> None:
    found = list(mutation.mutants(tree(tmp_path, {JUDGE: 0, NEW: 33})))
    assert [mutation.described(m, tmp_path) for m in found] == [
        f"survived    pure/rules.py:8 {JUDGE}\n    - return seen > least\n    + return seen >= least",
        f"not covered pure/rules.py:13 {NEW}\n    - return 1\n    + return 2",
    ]


@pytest.mark.parametrize(
    ("killed", "code", "said"), [(17, 0, "85.0 %"), (16, 1, "80.0 %")], ids=["just enough", "one too few"]
)
def test_what_no_test_reaches_counts_as_not_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], killed: int, code: int, said: str
) -> None:
    codes: dict[str, int | None] = {f"pure.rules.x_judge__mutmut_{n}": 1 for n in range(100, 100 + killed)}
    codes |= dict.fromkeys([NEW, JUDGE], 33) | {f"{JUDGE}": 0}
    found = [*mutation.mutants(tree(tmp_path, codes))]
    found += [mutation.Mutant(JUDGE, "pure/rules.py", "timeout")] * (20 - len(found))
    assert mutation.report(found, tmp_path) == code
    out = capsys.readouterr().out
    assert f"20 mutants: {killed} killed, {18 - killed} timeout, 1 survived, 1 not covered\n{said} of all" in out


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [(1, "killed"), (3, "killed"), (0, "survived"), (33, "not covered"), (36, "timeout"), (-9, "unclear"), (None, "")],
)
def test_each_exit_code_has_its_verdict(tmp_path: Path, exit_code: int | None, verdict: str) -> None:
    [found] = mutation.mutants(tree(tmp_path, {JUDGE: exit_code}))
    assert found.verdict == verdict


@pytest.mark.parametrize(("code", "left"), [(1, {JUDGE: 1}), (0, {JUDGE: None}), (0, {})])
def test_where_mutmut_ends_badly_there_is_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, left: dict[str, int | None]
) -> None:
    monkeypatch.setattr(mutation, "run", lambda command: tree(tmp_path, left) and code)
    with pytest.raises(Stop, match="tests have to pass"):
        mutation.mutate([], 1, tmp_path)


def test_an_earlier_run_is_forgotten_and_only_what_was_asked_for_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mutants").mkdir()
    (tmp_path / "mutants" / "old.py.meta").write_text('{"exit_code_by_key": {"old": 0}}')
    commands: list[list[str]] = []

    def run(command: list[object]) -> int:
        commands.append([str(part) for part in command[1:]])
        tree(tmp_path, {JUDGE: 1, NEW: None})
        return 0

    monkeypatch.setattr(mutation, "run", run)
    assert mutation.mutate(["pure.*"], 2, tmp_path) == 0
    assert commands == [["-m", "mutmut", "run", "--max-children", "2", "pure.*"]]
    assert "1 mutants: 1 killed\n100.0 % of all" in capsys.readouterr().out
