"""Who is in a dataset version: `members.json`, the digest of the label and the side by content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from services.catalogue.documents import Index
from services.catalogue.resolve import Member, resolve
from services.catalogue.store import CatalogueStore, Splits
from services.cloud.ports import BlobStore
from services.datasets.splits import Side
from services.errors import NotFound
from services.state import DatasetVersion, LoopState

MEMBERS_FILE = "members.json"
Members = dict[str, tuple[str, Side]]
MEMBERS = TypeAdapter(Members)


@dataclass(frozen=True, slots=True)
class Row:
    """An image of the dataset and its side."""

    member: Member
    side: Side


def rows(store: CatalogueStore, index: Index) -> list[Row]:
    """Every image of the dataset, in order of name."""
    splits = store.splits(index.splits)
    return sorted((Row(m, splits[m.content]) for m in _members(store, index)), key=lambda row: row.member.path)


def _members(store: CatalogueStore, index: Index) -> Iterator[Member]:
    if index.view is not None:
        for ref in index.buckets:
            yield from resolve(store.bucket(ref.blob), index.view).members


def members_of(found: Sequence[Row]) -> Members:
    """One entry a content; of two names for it the last."""
    return {row.member.content: (row.member.label_digest, row.side) for row in found}


def read_members(system: BlobStore, version: DatasetVersion) -> Members:
    """What a version held; nothing where its files are gone."""
    try:
        return MEMBERS.validate_json(system.read(version.folder + MEMBERS_FILE).data)
    except NotFound:
        return {}


def recovered_splits(system: BlobStore, versions: Sequence[DatasetVersion]) -> Splits:
    """The sides that versions remember, so that a lost catalogue lets no image change sides."""
    return {content: side for v in versions for content, (_, side) in read_members(system, v).items()}


def new_since_trained(system: BlobStore, state: LoopState, current: Members) -> int:
    """Distinct images labelled, or labelled anew, since the version that was last trained on, or is being."""
    run = next((r for r in reversed(state.runs) if r.active or r.status == "completed"), None)
    trained = next((v for v in state.datasets if run and v.number == run.dataset_version), None)
    return count_new(read_members(system, trained) if trained else {}, current)


def count_new(before: Mapping[str, tuple[str, Side]], current: Mapping[str, tuple[str, Side]]) -> int:
    """Contents that are not in `before`, or with other labels."""
    return sum(content not in before or before[content][0] != label for content, (label, _) in current.items())
