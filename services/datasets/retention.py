"""Archives dataset versions that are no longer kept, and deletes their files. Every step may be repeated."""

from __future__ import annotations

from services.context import LoopContext
from services.datasets.members import remember_sides
from services.datasets.parts import part_blob, parts_folder, read_parts
from services.decisions.retain import decide
from services.state import DatasetVersion
from services.words import numbered


def retire(context: LoopContext) -> bool:
    """Archive one version if one is to be, or was begun to be; whether one was."""
    begun = next((v for v in context.state.datasets if v.status == "archiving"), None)
    if begun is None:
        decision = decide(context.state)
        if not decision.act:
            return False
        begun = next(v for v in context.state.datasets if v.number == decision.facts["version"])
        begun.status = "archiving"
        context.save()
    _archive(context, begun)
    return True


def _archive(context: LoopContext, version: DatasetVersion) -> None:
    for asset in (version.train_asset, version.validation_asset):
        name, _, number = asset.rpartition(":")
        context.cloud.workspace.archive_table(name, number)
    gone = _unused_parts(context, version)
    remember_sides(context.cloud.system, context.loop, version, gone)
    for blob in gone:
        context.cloud.system.delete(blob)
    for blob in [b.name for b in context.cloud.system.list(version.folder)]:
        context.cloud.system.delete(blob)
    context.state.datasets.remove(version)
    keeps = context.config.retention.dataset_versions
    reason = f"Version {version.number} is archived: loop.yaml keeps {numbered(keeps, 'version')} beside those in use"
    context.tell("dataset.archived", reason, number=version.number, parts_deleted=len(gone))
    context.save()


def _unused_parts(context: LoopContext, version: DatasetVersion) -> list[str]:
    """Every part that no version but `version` has, told before `version`'s own list goes.

    Where another version's list is gone, its MLTables may list any of them: none is unused.
    """
    system, loop = context.cloud.system, context.loop
    lists = [read_parts(system, other) for other in context.state.datasets if other is not version]
    if not all(lists):
        return []
    kept = {blob for parts in lists for part in parts for blob in part.blobs} | {part_blob(loop, b"", "jsonl")}
    return sorted({b.name for b in system.list(parts_folder(loop))} - kept)
