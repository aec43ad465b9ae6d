"""Who is in a dataset version: the images of a bucket with their sides, and what versions remember of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from services.catalogue.documents import Bucket, View
from services.catalogue.resolve import Member, resolve
from services.catalogue.sides import Sides
from services.catalogue.store import Splits
from services.cloud.ports.storage import BlobStore
from services.datasets.parts import Facts, LabelFile, Part, Remembered, members, read_facts, read_parts
from services.datasets.splits import Side
from services.errors import NotFound
from services.state import DatasetVersion, LoopState

_SIDES = TypeAdapter(Splits)


@dataclass(frozen=True, slots=True)
class Row:
    """An image of the dataset and its side."""

    member: Member
    side: Side


def rows(bucket: Bucket, view: View, sides: Sides) -> list[Row]:
    """The images of a bucket that are in the dataset, in order of name."""
    found = (Row(m, bucket.images[m.path].side or sides[m.content]) for m in resolve(bucket, view).members)
    return sorted(found, key=lambda row: row.member.path)


def facts_of(bucket: Bucket, found: Sequence[Row]) -> Facts:
    """What is remembered of a bucket."""
    return Facts(
        {row.member.path: Remembered(row.member.content, row.member.label_digest, row.side) for row in found},
        {
            path: LabelFile(e.reading.etag, e.reading.format)
            for path, e in sorted(bucket.labels.items())
            if e.reading.format
        },
        dict(sorted(Counter(filed.file for filed in bucket.records).items())),
    )


def recovered_splits(system: BlobStore, loop: str, versions: Sequence[DatasetVersion]) -> Splits:
    """The sides that versions remember, so that a lost catalogue lets no image change sides."""
    known = {member.content: member.side for version in versions for member in members(system, version)}
    return archived_sides(system, loop) | known


def archived_sides(system: BlobStore, loop: str) -> Splits:
    """The sides of images that only archived versions held."""
    try:
        return _SIDES.validate_json(system.read(_sides_blob(loop)).data)
    except NotFound:
        return {}


def remember_sides(system: BlobStore, loop: str, version: DatasetVersion, gone: Sequence[str]) -> None:
    """Note the sides of the images in parts that are about to be deleted, of a version before parts of all of them."""
    facts = (facts for blob in gone if blob.endswith(".json") for facts in read_facts(system, [Part("", "", "", blob)]))
    found = {member.content: member.side for each in facts for member in each.members.values()}
    if not read_parts(system, version):
        found |= {member.content: member.side for member in members(system, version)}
    known = archived_sides(system, loop)
    if found.keys() - known.keys():
        system.write(_sides_blob(loop), _SIDES.dump_json(found | known))


def _sides_blob(loop: str) -> str:
    return f"datasets/{loop}/sides.json"


def new_since_trained(system: BlobStore, state: LoopState, version: DatasetVersion) -> int:
    """Distinct images labelled, or labelled anew, since the version that was last trained on, or is being."""
    run = next((r for r in reversed(state.runs) if r.active or r.status == "completed"), None)
    trained = next((v for v in state.datasets if run and v.number == run.dataset_version), None)
    known = read_parts(system, trained) if trained else []
    current = [part for part in read_parts(system, version) if part.facts not in {p.facts for p in known}]
    before = members(system, trained) if trained and current else ()
    return count_new(before, _members(system, current))


def _members(system: BlobStore, parts: Iterable[Part]) -> Iterable[Remembered]:
    return (member for facts in read_facts(system, parts) for member in facts.members.values())


def count_new(before: Iterable[Remembered], current: Iterable[Remembered]) -> int:
    """Contents that are not in `before`, or with other labels; of two names for a content the last counts."""
    known = {member.content: member.label for member in before}
    labels = {member.content: member.label for member in current}
    return sum(known.get(content) != label for content, label in labels.items())
