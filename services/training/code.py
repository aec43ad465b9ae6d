"""The job of a user's own training script, whose files are in `<loop>/code/` of the data container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from services.catalogue.listing import code_digest
from services.catalogue.paths import CODE
from services.cloud.ports.storage import BlobInfo, BlobReader
from services.cloud.ports.training import CommandJobSpec
from services.errors import ChangedMeanwhile, ConfigError
from services.loop_config import LoopConfig
from services.state import DatasetVersion, TrainingRun
from services.training.checks import check_command
from services.training_config import Training

MOST_BYTES = 20 << 20
"""Of all files together: they pass through the app's own disk, and a script is no place for data."""
MOST_FILES = 500


def script_recipe(training: Training, version: DatasetVersion, code: str) -> dict[str, object]:
    """Everything that changes the model that a script trains.

    Raises:
        ConfigError: its settings are incomplete, or there is no script.
    """
    command = check_command(training)
    if not code:
        raise ConfigError("command: expected the script's files in the folder code/ of the loop, found none")
    return {
        "kind": training.kind,
        "task": version.task,
        "classes": version.classes,
        "command": command.model_dump(),
        "code": code,
        "timeout_minutes": training.limits.timeout_minutes,
    }


def command_spec(loop: str, config: LoopConfig, version: DatasetVersion, run: TrainingRun) -> CommandJobSpec:
    """The job of a run.

    Raises:
        ConfigError: the settings of the script are incomplete.
    """
    training = config.training
    command = check_command(training)
    return CommandJobSpec(
        name=run.job,
        experiment=f"visionloop-{loop}",
        command=command.command,
        environment=command.environment,
        environment_variables=command.environment_variables,
        inputs={"train": version.train_asset, "validation": version.validation_asset},
        compute=training.compute.name,
        timeout_minutes=training.limits.timeout_minutes,
        tags={
            "visionloop_loop": loop,
            "visionloop_run": str(run.number),
            "visionloop_dataset": str(version.number),
        },
    )


@contextmanager
def downloaded(data: BlobReader, loop: str, digest: str) -> Iterator[Path]:
    """The script's files in a folder that is gone afterwards.

    Raises:
        ConfigError: they are too many or too large.
        ChangedMeanwhile: they are no longer those of `digest`.
    """
    start = len(loop) + 1
    files = [(blob.name[start:], blob) for blob in data.list(f"{loop}/{CODE}")]
    if code_digest(files) != digest:
        raise ChangedMeanwhile("The training script changed since it was last looked at")
    _check_size([blob for _, blob in files])
    with TemporaryDirectory(prefix="visionloop-code-") as name:
        folder = Path(name)
        for path, blob in files:
            _download(data, blob, folder, path.removeprefix(CODE))
        yield folder


def _check_size(files: list[BlobInfo]) -> None:
    size = sum(blob.size for blob in files)
    if size > MOST_BYTES or len(files) > MOST_FILES:
        most = f"at most {MOST_FILES} files of {MOST_BYTES >> 20} MiB together"
        raise ConfigError(f"command: expected {most} in code/, found {len(files)} of {size / (1 << 20):.1f} MiB")


def _download(data: BlobReader, blob: BlobInfo, folder: Path, path: str) -> None:
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise ConfigError(f"command: expected files below code/, found {path[:80]!r}")
    if path.endswith("/") or not path:  # the mark of a folder
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        out.writelines(data.stream(blob.name, etag=blob.etag))
