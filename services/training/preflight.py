"""What can be known to fail before a job is paid for: its cluster, its data assets, and their files and images."""

from __future__ import annotations

import json
from collections.abc import Iterator

from services.cloud.ports.storage import BlobStore
from services.context import LoopContext
from services.datasets.jsonl import blob_of
from services.datasets.parts import files_of
from services.datasets.splits import Side
from services.errors import NotFound
from services.state import DatasetVersion
from services.training.job import compute_spec

SAMPLE = 10
"""So many images of each side are looked for, evenly over what is read: deleted folders show, single files may not."""
MOST_BYTES = 1 << 20


def preflight(context: LoopContext, version: DatasetVersion) -> list[str]:
    """Everything that is wrong, a sentence each; nothing is created, and nothing is paid.

    Raises:
        Upstream: Azure fails in a way that may pass.
    """
    compute = context.cloud.workspace.compute_problem(compute_spec(context.config.training))
    sides: tuple[tuple[str, Side], ...] = ((version.train_asset, "train"), (version.validation_asset, "validation"))
    data = (problem for asset, side in sides for problem in _data_problems(context, version, asset, side))
    return [*filter(None, [compute]), *data]


def _data_problems(context: LoopContext, version: DatasetVersion, asset: str, side: Side) -> Iterator[str]:
    name, _, number = asset.rpartition(":")
    if not context.cloud.workspace.has_table(name, number):
        yield f"Data asset {asset} is not in Azure ML: label an image anew, and the next version is registered"
    file = f"{version.folder}{side}/MLTable"
    try:
        context.cloud.system.read(file)
        lines: list[bytes] = []
        files = files_of(context.cloud.system, version, side)
        for file in files:
            lines += _first_lines(context.cloud.system, file, MOST_BYTES // len(files))
    except NotFound:
        yield f"The files of data asset {asset} are gone from storage: {file}"
        return
    if missing := _missing(context.cloud.data, lines):
        yield f"{len(missing)} of {min(SAMPLE, len(lines))} images looked for are gone, such as {missing[0]}"


def _first_lines(system: BlobStore, file: str, most: int) -> list[bytes]:
    """Whole lines of the beginning: the files of a large version have more than a wake should hold."""
    data = system.read(file, length=most).data
    return (data if len(data) < most else data[: data.rfind(b"\n") + 1]).splitlines()


def _missing(data: BlobStore, lines: list[bytes]) -> list[str]:
    sample = lines[:: max(1, len(lines) // SAMPLE)][:SAMPLE]
    return [blob for blob in (blob_of(json.loads(line)["image_url"]) for line in sample) if not _is_there(data, blob)]


def _is_there(data: BlobStore, blob: str) -> bool:
    try:
        data.read(blob, length=1)
    except NotFound:
        return False
    return True
