"""Makes a dataset version: intent in the state, files, data assets, outcome. Every step may be repeated."""

from __future__ import annotations

import json

from services.catalogue.store import CatalogueStore
from services.cloud.ports.training import TableAsset
from services.context import LoopContext
from services.datasets.diff import describe
from services.datasets.files import Writer, write_tables
from services.datasets.members import new_since_trained
from services.datasets.parts import SIDES, read_parts, write_parts
from services.errors import Conflict
from services.state import DatasetVersion, LoopState
from services.words import numbered


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
    """Write the files and register the assets of an intended version, then record it; the next wake goes on with it.

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
    parts = Writer(context, version, store, index).write()
    if parts is None:
        context.state.reasons["dataset"] = f"Writing version {version.number}: time ran out, the next wake goes on"
        return
    write_tables(context, version, parts)
    describe(context, version, parts)
    about = version.model_dump(mode="json", exclude={"status", "new_since_trained"})
    context.cloud.system.write(version.folder + "version.json", json.dumps(about, indent=1).encode())
    try:
        _register(context, version)
    except Conflict:
        _renumber(context, version)
        return
    _record(context, version)


def _register(context: LoopContext, version: DatasetVersion) -> None:
    tags = {"loop": context.loop, "content_hash": version.content_hash, "task": version.task}
    for side, asset in zip(SIDES, (version.train_asset, version.validation_asset), strict=True):
        name, _, number = asset.partition(":")
        description = f"{side.capitalize()} images of loop {context.loop}, version {number}"
        context.cloud.workspace.register_table(TableAsset(name, number, version.folder + side, description, tags))


def _renumber(context: LoopContext, version: DatasetVersion) -> None:
    """The number is taken in Azure ML, by a loop of this name whose state was lost: take the next."""
    parts = read_parts(context.cloud.system, version)
    version.number += 1
    for field, value in _names(context.loop, version.number, version.content_hash).items():
        setattr(version, field, value)
    write_parts(context.cloud.system, version.folder, parts)
    context.save()


def _record(context: LoopContext, version: DatasetVersion) -> None:
    state = context.state
    version.new_since_trained = new_since_trained(context.cloud.system, state, version)
    version.status = "registered"
    state.catalogue.first_change = state.catalogue.last_change = None
    reason = (
        f"Version {version.number}: {numbered(version.train_images, 'image')} for training and "
        f"{version.validation_images:,} for validation, of {numbered(len(version.classes), 'class', 'classes')}"
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
    version.new_since_trained = new_since_trained(context.cloud.system, state, version)
    state.catalogue.first_change = state.catalogue.last_change = None
    context.save()
