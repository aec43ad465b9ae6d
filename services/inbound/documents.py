"""Small JSON documents in the system container, changed by compare-and-set."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from services.cloud.ports.storage import BlobStore
from services.errors import ChangedMeanwhile, NotFound

Document = TypeVar("Document", bound=BaseModel)
_TRIES = 8
_PAUSE_SECONDS = 0.005
"""Doubled each time: some 0.6 s in all, as Label Studio waits for one."""


def read(store: BlobStore, name: str, kind: type[Document]) -> tuple[Document, str]:
    """The document and its ETag; an empty one and no ETag where there is none."""
    try:
        blob = store.read(name)
    except NotFound:
        return kind(), ""
    return kind.model_validate_json(blob.data), blob.etag


def change(store: BlobStore, name: str, kind: type[Document], change: Callable[[Document], None]) -> Document:
    """Change a document in place, again where others did meanwhile; returns it.

    Raises:
        ChangedMeanwhile: others were faster each time.
    """
    return changed(store, name, kind, change)[0]


def changed(
    store: BlobStore, name: str, kind: type[Document], change: Callable[[Document], None]
) -> tuple[Document, str]:
    """The same, with the ETag that it has then.

    Raises:
        ChangedMeanwhile: others were faster each time.
    """
    for tried in range(_TRIES):
        document, etag = read(store, name, kind)
        before = document.model_copy(deep=True)
        change(document)
        if etag and document == before:
            return document, etag  # a repetition, whose write would keep others from theirs
        try:
            etag = store.write(name, document.model_dump_json().encode(), etag=etag or None, create=not etag)
        except ChangedMeanwhile:
            time.sleep(random.random() * _PAUSE_SECONDS * 2**tried)
            continue
        return document, etag
    raise ChangedMeanwhile("Others are changing the same; try again")
