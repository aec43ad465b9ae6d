"""Makes a dataset version: intent in the state, files, data assets, outcome. Every step may be repeated.

Contract of the files: Azure ML, "Prepare data for computer vision tasks with automated ML" and the MLTable schema; the
data asset's path is the folder of a file named exactly MLTable.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from services.catalogue.resolve import Member
from services.catalogue.store import CatalogueStore
from services.cloud.ports import TableAsset
from services.context import LoopContext
from services.datasets.jsonl import blob_url, datastore_url, line
from services.datasets.members import (
    MEMBERS,
    MEMBERS_FILE,
    Row,
    members_of,
    new_since_trained,
    read_members,
    rows,
)
from services.datasets.reading import TRAIN_FILE, VALIDATION_FILE
from services.datasets.splits import Side
from services.errors import Conflict
from services.state import DatasetVersion, LoopState

_MLTABLE = """\
type: mltable
paths:
  - file: ./{file}
transformations:
  - read_json_lines:
      encoding: utf8
      invalid_lines: error
      include_path_column: false
  - convert_column_types:
      - columns: image_url
        column_type: stream_info
"""
_FILES: dict[Side, str] = {"train": TRAIN_FILE, "validation": VALIDATION_FILE}


def intend(context: LoopContext) -> DatasetVersion:
    """Put the next version into the state, as registering; nothing is saved yet."""
    state, found = context.state, context.state.catalogue
    if found.task is None:
        raise ValueError("a version needs a task")
    number = max((v.number for v in state.datasets), default=0) + 1
    version = DatasetVersion(
        number=number,
        content_hash=found.content_hash,
        task=found.task,
        classes=found.classes,
        **_names(context.loop, number, found.content_hash),
        train_images=found.train_images,
        validation_images=found.validation_images,
        annotations_per_class=found.annotations_per_class,
        images_per_class=found.images_per_class,
        new_since_trained=0,
        created=context.now,
    )
    state.datasets.append(version)
    return version


def _names(loop: str, number: int, content_hash: str) -> dict[str, str]:
    return {
        "folder": f"datasets/{loop}/{number}-{content_hash[:12]}/",
        "train_asset": f"{loop}-train:{number}",
        "validation_asset": f"{loop}-validation:{number}",
    }


def finish(context: LoopContext, version: DatasetVersion) -> None:
    """Write the files and register the assets of an intended version, then record it.

    The catalogue is still that of the intent: nothing observes before an intended version is finished. Where somebody
    deleted it, the intent is dropped, and decided anew from a new catalogue.
    """
    store = CatalogueStore(context.cloud.system, context.loop)
    index = store.index(context.state.catalogue.blob)
    if index is None:
        context.state.datasets.remove(version)
        context.state.catalogue.fingerprint = ""
        context.save()
        return
    found = rows(store, index)
    _write(context, version, found)
    try:
        _register(context, version)
    except Conflict:
        _renumber(context, version)
        return
    _record(context, version, found)


def _write(context: LoopContext, version: DatasetVersion, found: Sequence[Row]) -> None:
    settings, system = context.cloud.settings, context.cloud.system
    where = settings.subscription_id, settings.resource_group, settings.workspace, settings.data_datastore
    url = f"{datastore_url(*where)}{context.loop}/"
    for side, path in _FILES.items():
        folder, _, file = path.partition("/")
        lines = b"".join(
            _line(blob_url(url, row.member.path), row.member, version) for row in found if row.side == side
        )
        system.write(version.folder + path, lines)
        system.write(f"{version.folder}{folder}/MLTable", _MLTABLE.format(file=file).encode())
    system.write(version.folder + MEMBERS_FILE, MEMBERS.dump_json(members_of(found)))
    about = version.model_dump(mode="json", exclude={"status", "new_since_trained"})
    system.write(version.folder + "version.json", json.dumps(about, indent=1).encode())


def _line(url: str, member: Member, version: DatasetVersion) -> bytes:
    facts = member.facts
    return line(url, facts.format, facts.width, facts.height, member.annotations, version.task)


def _register(context: LoopContext, version: DatasetVersion) -> None:
    tags = {"loop": context.loop, "content_hash": version.content_hash, "task": version.task}
    for asset, path in ((version.train_asset, TRAIN_FILE), (version.validation_asset, VALIDATION_FILE)):
        name, _, number = asset.partition(":")
        folder = version.folder + path.partition("/")[0]
        description = f"{path.partition('/')[0].capitalize()} images of loop {context.loop}, version {number}"
        context.cloud.workspace.register_table(TableAsset(name, number, folder, description, tags))


def _renumber(context: LoopContext, version: DatasetVersion) -> None:
    """The number is taken in Azure ML, by a loop of this name whose state was lost: take the next."""
    version.number += 1
    for field, value in _names(context.loop, version.number, version.content_hash).items():
        setattr(version, field, value)
    context.save()


def _record(context: LoopContext, version: DatasetVersion, found: Sequence[Row]) -> None:
    state = context.state
    version.new_since_trained = new_since_trained(context.cloud.system, state, members_of(found))
    version.status = "registered"
    state.catalogue.first_change = state.catalogue.last_change = None
    reason = (
        f"Version {version.number}: {version.train_images} images for training and {version.validation_images} for "
        f"validation, of {len(version.classes)} classes"
    )
    state.reasons["dataset"] = reason
    told = version.model_dump(mode="json", exclude={"status", "folder"})
    context.tell("dataset.registered", reason, **told, problems=state.catalogue.problem_count)
    context.save()


def make_current(context: LoopContext, number: int) -> None:
    """Content that returns to an older version's needs no new version: that one becomes the current, the last."""
    state: LoopState = context.state
    version = state.version(number)
    state.datasets.remove(version)
    state.datasets.append(version)
    members = read_members(context.cloud.system, version)
    version.new_since_trained = new_since_trained(context.cloud.system, state, members)
    state.catalogue.first_change = state.catalogue.last_change = None
    context.save()
