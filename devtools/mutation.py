"""Mutation tests of services/decisions: how many small changes of the code the tests of the decisions notice.

mutmut makes the changes, one at a time, and runs the tests that reach them; pyproject.toml says which. Its own summary
leaves aside what no test reaches; here that counts as not noticed.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from devtools.console import Stop, say
from devtools.install import ensure_installed
from devtools.layout import ROOT, venv_python
from devtools.processes import run

LEAST_PERCENT = 85.0
FOLDER = "mutants"
"""Where mutmut keeps its changed copy of the code and what became of each change."""

Verdict = str
_VERDICTS: Mapping[int | None, Verdict] = {0: "survived", 1: "killed", 3: "killed", 5: "not covered", 33: "not covered"}
_TIMED_OUT = {24, -24, 36, 152, 255}
_ORDER = ("killed", "timeout", "survived", "not covered", "unclear")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, by mutmut's name, such as `services.decisions.canary.x_judge__mutmut_3`."""

    name: str
    file: str
    verdict: Verdict


def command(arguments: argparse.Namespace) -> int:
    """The command of `dev.py`, with mutmut brought first."""
    ensure_installed("mutation")
    return mutate(arguments.only, arguments.children)


def mutate(only: Sequence[str], children: int, root: Path = ROOT) -> int:
    """Run mutmut on all of it, or on mutants by name or pattern; 0 where enough of them are killed.

    Raises:
        Stop: mutmut itself failed, as it does where a test fails without any change.
    """
    shutil.rmtree(root / FOLDER, ignore_errors=True)  # what an earlier run found is of other tests
    code = run([venv_python(), "-m", "mutmut", "run", "--max-children", str(children), *only])
    found = [m for m in mutants(root) if m.verdict]
    if code or not found:
        raise Stop("mutmut did not end well, see above: the tests have to pass before anything is changed.")
    return report(found, root)


def report(found: Sequence[Mutant], root: Path) -> int:
    """Print each change that was not noticed with its place, and the sum; 0 where enough were."""
    for mutant in found:
        if mutant.verdict != "killed":
            say(described(mutant, root))
    counts = Counter(m.verdict for m in found)
    percent = 100 * counts["killed"] / len(found)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict])
    say(f"\n{len(found)} mutants: {said}\n{percent:.1f} % of all are killed, {LEAST_PERCENT:g} % are needed")
    say("One of them as a patch: .venv/bin/mutmut show NAME")
    return int(percent < LEAST_PERCENT)


def mutants(root: Path) -> Iterator[Mutant]:
    """What mutmut's notes say, file by file; without a verdict where a mutant was not asked for."""
    folder = root / FOLDER
    for notes in sorted(folder.rglob("*.meta")):
        file = notes.relative_to(folder).with_suffix("").as_posix()
        for name, code in json.loads(notes.read_text())["exit_code_by_key"].items():
            yield Mutant(name, file, _verdict(code))


def _verdict(code: int | None) -> Verdict:
    if code is None:
        return ""
    return "timeout" if code in _TIMED_OUT else _VERDICTS.get(code, "unclear")


def described(mutant: Mutant, root: Path) -> str:
    """A line for people: verdict, file and line, name, and what stands there instead."""
    line, before, after = _change(mutant, root)
    return f"{mutant.verdict:<11} {mutant.file}:{line} {mutant.name}\n    - {before}\n    + {after}"


def _change(mutant: Mutant, root: Path) -> tuple[int, str, str]:
    """The first line that differs, counted in the real file, and the line that stands there instead."""
    changed = (root / FOLDER / mutant.file).read_text(encoding="utf-8")
    name = mutant.name.rpartition(".")[2]
    original = re.sub(r"__mutmut_\d+$", "__mutmut_orig", name)
    before, after = _function(changed, original)[1], _function(changed, name)[1]
    pairs = list(zip_longest(before[1:], after[1:], fillvalue=""))  # the first line holds the name
    at = next((n for n, (one, other) in enumerate(pairs) if one != other), 0)
    plain = re.split(r"[_ǁ]", original.removesuffix("__mutmut_orig"), maxsplit=1)[1].rpartition("ǁ")[2]
    start = _function((root / mutant.file).read_text(encoding="utf-8"), plain)[0]
    return start + 1 + at, pairs[at][0].strip(), pairs[at][1].strip()


def _function(source: str, name: str) -> tuple[int, list[str]]:
    """A function's first line, decorators left aside, and its text line by line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node.lineno, source.splitlines()[node.lineno - 1 : node.end_lineno]
    raise Stop(f"{name} is not in the source any more: files were edited while mutmut ran; start it again.")
