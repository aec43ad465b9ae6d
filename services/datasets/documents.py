"""Dataset versions as JSON: what they hold, what they change about the version before, what they were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.datasets.diff import Changes, counts, read_changes
from services.datasets.parts import label_files, read_facts, read_parts
from services.errors import BadRequest, NotFound
from services.names import check_loop_name
from services.state import DatasetVersion, LoopState
from services.state_store import StateStore

MOST = 1000


class Datasets:
    """Reads what the controller wrote; nothing is looked at anew."""

    def __init__(self, states: StateStore, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._states, self._system = states, system

    def listing(self, loop: str) -> dict[str, Any]:
        """Every version, the newest first.

        Raises:
            BadRequest, NotFound: there is no such loop.
        """
        state = self._states.read(check_loop_name(loop))
        versions = sorted(state.datasets, key=lambda v: v.number, reverse=True)
        return {"loop": loop, "versions": [_document(state, version) for version in versions]}

    def version(self, loop: str, number: str) -> dict[str, Any]:
        """One version.

        Raises:
            BadRequest, NotFound: there is no such loop or version.
        """
        return _document(*version_of(self._states, loop, number))

    def changes(self, loop: str, number: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of the images that a version changes, by `kind`, `limit` and `offset` of the query.

        Raises:
            BadRequest, NotFound: there is no such loop, version or kind, or the version's files are gone.
        """
        _, version = version_of(self._states, loop, number)
        kind = query.get("kind") or "added"
        if kind not in Changes.__slots__:
            raise BadRequest(f"kind must be one of {', '.join(Changes.__slots__)}")
        found = read_changes(self._system, version)
        images, following = _page(query, getattr(found, kind))
        return {"kind": kind, "counts": counts(found), "images": images, "next": following}

    def labels(self, loop: str, number: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of the label files that a version was made of, by `limit` and `offset` of the query.

        Raises:
            BadRequest, NotFound: there is no such loop or version, or its files are gone.
        """
        _, version = version_of(self._states, loop, number)
        files, records = label_files(read_facts(self._system, read_parts(self._system, version)))
        paths, following = _page(query, sorted(files))
        listed = [
            {"file": path, "format": files[path].format, "etag": files[path].etag, "records": records[path]}
            for path in paths
        ]
        return {"count": len(files), "by_format": version.label_files, "files": listed, "next": following}


def version_of(states: StateStore, loop: str, number: str) -> tuple[LoopState, DatasetVersion]:
    """A finished version by the number in an address, with the loop's state.

    Raises:
        BadRequest, NotFound: there is none.
    """
    state = states.read(check_loop_name(loop))
    found = next((v for v in state.datasets if str(v.number) == number and v.status == "registered"), None)
    if found is None:
        raise NotFound(f"{loop} has no dataset version {number[:20]!r}")
    return state, found


def _document(state: LoopState, version: DatasetVersion) -> dict[str, Any]:
    at = f"/api/loops/{state.loop}/datasets/{version.number}"
    addresses = {name: f"{at}/{name}" for name in ("changes", "labels", "export")}
    current = state.dataset is not None and state.dataset.number == version.number
    runs = [run.number for run in state.runs if run.dataset_version == version.number]
    shown = version.model_dump(mode="json", exclude={"folder"})
    return {**shown, "images": version.images, "current": current, "runs": runs, "addresses": addresses}


def _page(query: Mapping[str, str], found: Sequence[Any]) -> tuple[Sequence[Any], int | None]:
    offset, limit = _number(query, "offset", 0, 10**7), _number(query, "limit", 100, MOST)
    end = offset + limit
    return found[offset:end], end if end < len(found) else None


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= 8 and int(text) <= most):
        raise BadRequest(f"{name} must be a number up to {most}")
    return int(text)
