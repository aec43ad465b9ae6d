"""The full problem report of a loop: what the status document shows the worst hundred of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from services.catalogue.documents import Index
from services.catalogue.store import CatalogueStore
from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest
from services.labels.problems import CODES, worst_first
from services.names import check_loop_name
from services.query import SHOWN, meant
from services.state import Problem
from services.state_store import StateStore

MOST = 1000
_SEVERITIES = ("error", "warning", "note")


class ProblemReports:
    """Reads the catalogue as it is stored; nothing is looked at anew."""

    def __init__(self, states: StateStore, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._states, self._system = states, system

    def report(self, loop: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of a loop's problems, the worst first; `limit`, `offset`, `severity` and `code` are in the query.

        `count`, `by_severity` and `by_code` are of all; `kept` of what the pages list: of the problems of each of its
        buckets (about 4,096 files) the catalogue keeps the worst hundred.

        Raises:
            BadRequest, NotFound: there is no such loop, or the query is wrong.
        """
        state = self._states.read(check_loop_name(loop))
        wanted, page = _filter(query), (_number(query, "offset", 0, 0, 10**6), _number(query, "limit", 100, 1, MOST))
        index = CatalogueStore(self._system, loop).index(state.catalogue.blob)
        inbound = (problem for note in state.inbound for problem in note.problems)
        whole = [*state.config.problems, *inbound, *state.catalogue.dataset_problems]
        if index is None:  # replaced while we looked, or not there yet: the state has the worst itself
            known = [*whole, *state.catalogue.problems]
            return {"loop": loop, **_document(known, Counter(p.code for p in known), wanted, page)}
        return {"loop": loop, **problem_document(whole, index, wanted, page)}


def problem_document(
    whole: Sequence[Problem], index: Index, wanted: Mapping[str, str], page: tuple[int, int]
) -> dict[str, Any]:
    """A page (offset, limit) of what is wrong with the data set as `whole` and with its files, as JSON."""
    codes = Counter(p.code for p in whole)
    for ref in index.buckets:
        codes.update(ref.summary.codes)
    return _document([*whole, *(p for ref in index.buckets for p in ref.summary.problems)], codes, wanted, page)


def _document(
    problems: Sequence[Problem], by_code: Counter[str], wanted: Mapping[str, str], page: tuple[int, int]
) -> dict[str, Any]:
    code = wanted.get("code", "")
    if code and code not in CODES.keys() | by_code.keys():
        raise BadRequest(f"{code[:SHOWN]} is no code of a problem{meant(code, CODES)}")
    found = [p for p in worst_first(problems) if all(getattr(p, name) == value for name, value in wanted.items())]
    offset, limit = page
    return {
        "count": by_code.total(),
        "by_severity": _by_severity(by_code),
        "by_code": dict(by_code.most_common()),
        "kept": len(found),
        "problems": [p.model_dump(mode="json") for p in found[offset : offset + limit]],
        "next": offset + limit if offset + limit < len(found) else None,
    }


def _by_severity(by_code: Counter[str]) -> dict[str, int]:
    """What is wrong with loop.yaml has no place in CODES, and is an error."""
    found = dict.fromkeys(_SEVERITIES, 0)
    for code, count in by_code.items():
        found[CODES[code].severity if code in CODES else "error"] += count
    return found


def _filter(query: Mapping[str, str]) -> dict[str, str]:
    wanted = {name: query[name] for name in ("severity", "code") if query.get(name)}
    if wanted.get("severity", "error") not in _SEVERITIES:
        raise BadRequest(f"severity must be one of {', '.join(_SEVERITIES)}")
    return wanted


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and least <= int(text) <= most):
        raise BadRequest(f"{name} must be a number from {least} to {most}")
    return int(text)
