"""What the app knows of a folder's images from its label files, of whatever format they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devtools.checking.look import LOOP, reader, settings_of
from services.catalogue.documents import Bucket
from services.catalogue.listing import Listing
from services.catalogue.refresh import Catalogue
from services.catalogue.resolve import Member, Resolved, claims, resolve
from services.catalogue.store import CatalogueStore
from services.cloud.fakes import FakeBlobStore
from services.loop_config import LoopConfig, Task


@dataclass(frozen=True, slots=True)
class Known:
    """By paths below the loop's folder: the labelled images, and which images each label file is about."""

    task: Task | None
    members: Mapping[str, Member]
    about: Mapping[str, frozenset[str]]


def known(files: Mapping[str, Path], own: Path | None = None) -> Known:
    """Read a folder as the loop would; `own` is its loop.yaml.

    Raises:
        ConfigError: a limit in the environment is wrong.
    """
    config = settings_of(own)[0] if own else LoopConfig()
    looking = reader(files, lambda _done, _total: None)
    store = CatalogueStore(FakeBlobStore(), LOOP)
    listing = Listing.of(LOOP, looking.data.list(f"{LOOP}/"))
    index = Catalogue(store, looking, lambda: True, dict).refresh(listing, "", config).index
    buckets = [store.bucket(ref.blob) for ref in index.buckets]
    members = [m for bucket in buckets for m in resolve(bucket, index.view).members] if index.view else []
    about: dict[str, set[str]] = {}
    for file, image in (pair for bucket in buckets for pair in _pairs(bucket)):
        about.setdefault(file, set()).add(image)
    rules = index.view.rules if index.view else None
    return Known(
        rules.task if rules else None, {m.path: m for m in members}, {f: frozenset(i) for f, i in about.items()}
    )


def _pairs(bucket: Bucket) -> Iterator[tuple[str, str]]:
    for image, filed in claims(bucket, Resolved()).items():
        yield from ((each.file, image) for each in filed)
