"""Writes the files of a dataset version: parts, and an MLTable a side that lists them.

Contract of the files: Azure ML, "Prepare data for computer vision tasks with automated ML" and the MLTable schema; the
data asset's path is the folder of a file named exactly MLTable. Its `paths` are addresses of the datastore, which the
schema allows: paths that lead out of the folder would not survive a download of the folder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from pydantic import TypeAdapter

from services.catalogue.documents import BucketRef, Index, View
from services.catalogue.sides import Sides
from services.catalogue.store import CatalogueStore
from services.context import LoopContext
from services.datasets.jsonl import blob_url, datastore_url, line
from services.datasets.members import Row, facts_of, rows
from services.datasets.parts import SIDES, Facts, Part, dump_facts, part_blob, parts_folder, read_parts, write_parts
from services.datasets.splits import Side
from services.names import digest
from services.settings import Settings
from services.state import DatasetVersion

FORMAT = "1"
"""Raised when the lines or facts of an unchanged bucket are written otherwise."""
SPARE_SECONDS = 10.0
NOTED_EVERY = 8
"""Parts between two notes of what is done, so that a killed process loses no more."""
_VIEW = TypeAdapter(View)
_TRANSFORMATIONS = """\
transformations:
  - read_json_lines:
      encoding: utf8
      invalid_lines: error
      include_path_column: false
  - convert_column_types:
      - columns: image_url
        column_type: stream_info
"""


class Writer:
    """Writes the parts of one version."""

    def __init__(self, context: LoopContext, version: DatasetVersion, store: CatalogueStore, index: Index) -> None:
        """`index` is the catalogue that the version is made of; its view is known."""
        self._context, self._version, self._store, self._index = context, version, store, index
        self._system = context.cloud.system
        self._url = f"{_datastore(context.cloud.settings, context.cloud.settings.data_datastore)}{context.loop}/"
        self._view = index.view or View(None)
        self._view_digest = digest(_VIEW.dump_json(self._view).decode(), FORMAT, version.task, self._url)

    @cached_property
    def _sides(self) -> Sides:
        return Sides(self._store, self._index)

    def write(self) -> list[Part] | None:
        """Write what other versions do not have; None where time ran out, and the next attempt goes on."""
        there = {blob.name for blob in self._system.list(parts_folder(self._context.loop))}
        known = {key: part for key, part in self._known().items() if there.issuperset(part.blobs)}
        done: list[Part] = []
        fresh = 0
        for ref in self._index.buckets:
            key = self._key(ref)
            done.append(known[key] if key in known else self._part(key, ref, there))
            if key in known:
                continue
            fresh += 1
            late = self._context.time_left() < SPARE_SECONDS and len(done) < len(self._index.buckets)
            if late or fresh % NOTED_EVERY == 0:
                write_parts(self._system, self._version.folder, done)
            if late:
                return None
        write_parts(self._system, self._version.folder, done)
        return done

    def _known(self) -> dict[str, Part]:
        """Parts of an attempt before, and of the version before."""
        current = self._context.state.dataset
        versions = [self._version, *([current] if current else [])]
        return {part.key: part for version in versions for part in read_parts(self._system, version)}

    def _key(self, ref: BucketRef) -> str:
        totals = json.dumps(ref.summary.totals, sort_keys=True)
        return digest(self._view_digest, ref.blob, ref.summary.content, totals, length=32)

    def _part(self, key: str, ref: BucketRef, there: set[str]) -> Part:
        bucket = self._store.bucket(ref.blob)
        found = rows(bucket, self._view, self._sides)
        train, validation = (self._put(self._lines(found, side), "jsonl", there) for side in SIDES)
        facts = facts_of(bucket, found)
        formats = Counter(file.format for file in facts.files.values())
        data = dump_facts(facts) if facts != Facts() else b""
        return Part(key, train, validation, self._put(data, "json", there), tuple(sorted(formats.items())))

    def _lines(self, found: Sequence[Row], side: Side) -> bytes:
        return b"".join(self._line(row) for row in found if row.side == side)

    def _line(self, row: Row) -> bytes:
        member, facts = row.member, row.member.facts
        url = blob_url(self._url, member.path)
        return line(url, facts.format, facts.width, facts.height, member.annotations, self._version.task)

    def _put(self, data: bytes, kind: str, there: set[str]) -> str:
        if not data:
            return ""
        blob = part_blob(self._context.loop, data, kind)
        if blob not in there:
            self._system.write(blob, data)
            there.add(blob)
        return blob


def write_tables(context: LoopContext, version: DatasetVersion, parts: Sequence[Part]) -> None:
    """Write both MLTables. A side without images, which Azure refuses with a reason of its own, lists an empty file."""
    system, settings = context.cloud.system, context.cloud.settings
    base = _datastore(settings, settings.system_datastore)
    for side in SIDES:
        blobs = [blob for part in parts if (blob := part.train if side == "train" else part.validation)]
        if not blobs:
            blobs = [part_blob(context.loop, b"", "jsonl")]
            system.write(blobs[0], b"")
        system.write(f"{version.folder}{side}/MLTable", mltable([base + blob for blob in blobs]))


def mltable(files: Sequence[str]) -> bytes:
    """An MLTable over files of AutoML's JSON Lines; addresses, or paths that begin with `./`."""
    listed = "".join(f"  - file: {file}\n" for file in files)
    return f"type: mltable\npaths:\n{listed}{_TRANSFORMATIONS}".encode()


def _datastore(settings: Settings, name: str) -> str:
    return datastore_url(settings.subscription_id, settings.resource_group, settings.workspace, name)
