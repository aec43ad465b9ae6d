"""What a dataset version changes about the one before, and which label files it was made of."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from services.cloud.ports.storage import BlobStore
from services.context import LoopContext
from services.datasets.parts import Part, Remembered, read_facts, read_parts
from services.errors import NotFound
from services.state import DatasetVersion, VersionDiff

DIFF_FILE = "diff.json"


@dataclass(slots=True)
class Changes:
    """Paths below the loop's folder, in order of name."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    relabelled: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """Old and new path. One that has other labels too is also among `relabelled`, by its new path."""


_CHANGES = TypeAdapter(Changes)


def compare(before: Mapping[str, Remembered], after: Mapping[str, Remembered]) -> Changes:
    """What became of the images; pure. Both by path."""
    found = Changes()
    gone = {before[path].content: path for path in sorted(before.keys() - after.keys(), reverse=True)}
    for path, member in sorted(after.items()):
        old = path if path in before else gone.pop(member.content, None)
        if old is None:
            found.added.append(path)
            continue
        if old != path:
            found.renamed.append((old, path))
        if before[old].content != member.content:
            found.changed.append(path)
        elif before[old].label != member.label:
            found.relabelled.append(path)
    found.removed = sorted(before.keys() - after.keys() - {old for old, _ in found.renamed})
    return found


def describe(context: LoopContext, version: DatasetVersion, parts: Sequence[Part]) -> None:
    """Count what changed since the current version into `version`, and write which images they are."""
    version.label_files = dict(sum((Counter(dict(part.formats)) for part in parts), Counter[str]()))
    current = context.state.dataset
    if current is None:
        version.diff = VersionDiff(added=version.images)
        return
    found = _changes(context.cloud.system, read_parts(context.cloud.system, current), parts)
    if found is None:
        return
    context.cloud.system.write(version.folder + DIFF_FILE, _CHANGES.dump_json(found))
    version.diff = VersionDiff(before=current.number, **counts(found))


def counts(found: Changes) -> dict[str, int]:
    """How many of each kind."""
    return {kind: len(getattr(found, kind)) for kind in Changes.__slots__}


def _changes(system: BlobStore, before: Sequence[Part], after: Sequence[Part]) -> Changes | None:
    """None where the version before has no parts left. Parts that both have are not read."""
    shared = {part.facts for part in before} & {part.facts for part in after}
    old, new = ([p for p in parts if p.facts not in shared] for parts in (before, after))
    try:
        return compare(_by_path(system, old), _by_path(system, new)) if before else None
    except NotFound:
        return None


def _by_path(system: BlobStore, parts: Iterable[Part]) -> dict[str, Remembered]:
    members = (facts.members.items() for facts in read_facts(system, parts))
    return dict(itertools.chain.from_iterable(members))


def read_changes(system: BlobStore, version: DatasetVersion) -> Changes:
    """The images of a version's diff; of a first version all, as its diff has no file.

    Raises:
        NotFound: the files are gone.
    """
    if version.diff is None:
        return Changes()
    if version.diff.before is None:
        return compare({}, _by_path(system, read_parts(system, version)))
    return _CHANGES.validate_json(system.read(version.folder + DIFF_FILE).data)
