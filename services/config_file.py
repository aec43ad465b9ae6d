"""Reads loop.yaml: safe, small, and with the line of everything that is wrong."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from pydantic import ValidationError

from services.labels.values import UNSAFE
from services.loop_config import LoopConfig
from services.state import Problem

MOST_BYTES = 64 * 1024
MOST_DEPTH = 20
MOST_NUMBER = 2**53
"""YAML's whole numbers have any length; larger ones no JSON reader holds exactly, and some cannot even be shown."""
Location = tuple[int | str, ...]


def read_config(text: bytes, file: str) -> tuple[LoopConfig | None, list[Problem]]:
    """The config, or None and every problem with line, field, expected and found. Never raises."""
    import yaml

    if len(text) > MOST_BYTES:
        return None, [_problem(file, "", f"at most {MOST_BYTES} bytes", f"{len(text)} bytes")]
    if (depth := open_brackets(text)) > MOST_DEPTH:  # PyYAML's scanner takes minutes for thousands of them
        return None, [_problem(file, "line 1", f"at most {MOST_DEPTH} levels", f"{depth} brackets within each other")]
    lines: dict[Location, int] = {}
    try:
        root = yaml.compose(text.decode("utf-8-sig"), Loader=yaml.SafeLoader)
        found = {} if root is None else _Builder(lines).build(root)
        return LoopConfig.model_validate(found), []
    except UnicodeDecodeError as error:
        return None, [_problem(file, f"byte {error.start}", "UTF-8 text", "other bytes")]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return None, [_problem(file, f"line {line}", "YAML", str(error.problem or "something else"))]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            return None, [_validation_problem(file, e, lines) for e in error.errors(include_url=False)]
        return None, [_problem(file, "line 1", "YAML", str(error)[:200])]


def open_brackets(text: bytes) -> int:
    """How many brackets are open at once, those in texts included."""
    steps = ((byte in b"[{") - (byte in b"]}") for byte in text)
    return max(accumulate(steps), default=0)


class _Builder:
    """Builds plain values from the node tree, noting lines; aliases and twofold keys are refused, not expanded."""

    def __init__(self, lines: dict[Location, int]) -> None:
        self._lines = lines
        self._seen: set[int] = set()

    def build(self, node: Any, at: Location = ()) -> Any:
        import yaml

        self._check(node, at)
        if isinstance(node, yaml.MappingNode):
            return {_key(k): self.build(v, (*at, _key(k))) for k, v in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.build(v, (*at, i)) for i, v in enumerate(node.value)]
        if UNSAFE.search(node.value):  # halves of characters could not even be stored
            raise _refused(node, "text without control characters and marks that turn its direction")
        found = yaml.SafeLoader("").construct_object(node)
        if isinstance(found, int) and abs(found) > MOST_NUMBER:
            raise _refused(node, f"whole numbers up to {MOST_NUMBER}")
        return found

    def _check(self, node: Any, at: Location) -> None:
        if len(at) > MOST_DEPTH:
            raise _refused(node, f"at most {MOST_DEPTH} levels")
        if at in self._lines:
            raise _refused(node, "each key once")
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
            raise _refused(node, "no tags")
        if id(node) in self._seen:
            raise _refused(node, "no aliases")
        self._seen.add(id(node))
        self._lines[at] = node.start_mark.line + 1


def _key(node: Any) -> str:
    if not isinstance(node.value, str) or UNSAFE.search(node.value):
        raise _refused(node, "a text as key")
    return node.value


def _refused(node: Any, expected: str) -> Exception:
    import yaml

    return yaml.MarkedYAMLError(problem=f"expected {expected}", problem_mark=node.start_mark)


def _validation_problem(file: str, error: Any, lines: dict[Location, int]) -> Problem:
    at: Location = tuple(error["loc"])
    known = next(at[:n] for n in range(len(at), -1, -1) if at[:n] in lines or n == 0)
    place = f"line {lines.get(known, 1)}, {'.'.join(map(str, at)) or 'the document'}"
    return _problem(file, place, str(error["msg"]), repr(error["input"])[:80])


def _problem(file: str, place: str, expected: str, found: str) -> Problem:
    return Problem(
        code="config-invalid",
        file=file,
        place=place,
        expected=expected,
        found=found,
        help="Mend loop.yaml and upload it again; docs/loop.schema.json lists every field.",
    )
