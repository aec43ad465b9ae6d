"""Looks at files with the catalogue's own code, in memory, and at the ends of images too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from devtools.checking.local import LocalFiles
from devtools.folders import IMAGES, loop_files
from services.catalogue.documents import ImageEntry
from services.catalogue.images import ImageFacts
from services.catalogue.listing import Listing
from services.catalogue.paths import is_ignored, kind_of
from services.catalogue.reading import FileReader, Read
from services.catalogue.refresh import Catalogue
from services.catalogue.store import CatalogueStore
from services.cloud.fakes import FakeBlobStore
from services.cloud.ports.storage import BlobInfo
from services.config_file import read_config
from services.datasets.observe import summary_state
from services.labels.options import DEFAULT, Options
from services.labels.problems import printable
from services.labels.record import ImageRecord
from services.loop_config import LoopConfig
from services.names import CONFIG_FILE
from services.settings import Settings, read_settings
from services.state import CatalogueState, Problem
from services.status.problems import problem_document

LOOP = "check"
_EVERYTHING = (0, 10**9)
_WHAT = {
    "task",
    "images",
    "labelled",
    "negatives",
    "waiting_labels",
    "classes",
    "images_per_class",
    "annotations_per_class",
}


class NothingThere(Exception):
    """There is neither an image nor a label file; the message says what was looked for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the catalogue would hold, and the problem report as the app answers it."""

    catalogue: CatalogueState
    problems: dict[str, Any]

    def document(self, checked: str) -> dict[str, Any]:
        """All of it as JSON."""
        return {"checked": checked, **self.catalogue.model_dump(mode="json", include=_WHAT), **self.problems}


Told = Callable[[int, int], None]


def look(target: Path, overrides: Mapping[str, Any], told: Told) -> Checked:
    """Check a folder, or a single label file.

    Args:
        target: the folder or file; a loop.yaml in the folder is gone by.
        overrides: fields of loop.yaml that were given otherwise: task, classes.
        told: hears how many files of how many were read.

    Raises:
        NothingThere: nothing in it can be checked.
        ConfigError: a limit in the environment is wrong.
    """
    files = loop_files(target) if target.is_dir() else {f"labels/{target.name}": target}
    if all(is_ignored(path, file.stat().st_size) for path, file in files.items()):
        raise NothingThere(f"{target} holds neither images ({' '.join(sorted(IMAGES))}) nor label files.")
    config, wrong = settings_of(files.get(CONFIG_FILE))
    config = LoopConfig.model_validate({**config.model_dump(), **overrides})
    root = target if target.is_dir() else target.parent
    names = {printable(path): file.relative_to(root).as_posix() for path, file in files.items()}
    if target.is_dir():
        return _checked(_Looking(reader(files, told)), config, wrong, names)
    return _checked(_alone(files, told), config, wrong, names)


def settings_of(file: Path | None) -> tuple[LoopConfig, list[Problem]]:
    """A loop.yaml that is wrong is told of, and the defaults hold."""
    if file is None:
        return LoopConfig(), []
    config, problems = read_config(file.read_bytes(), CONFIG_FILE)
    return config or LoopConfig(), problems


def _settings() -> Settings:
    """The app's limits, where the environment sets them; nothing else of the app is needed."""
    needed = [str(f.alias) for f in Settings.model_fields.values() if f.is_required()]
    return read_settings({**dict.fromkeys(needed, "none"), **os.environ})


def reader(files: Mapping[str, Path], told: Told) -> FileReader:
    """Reads files by their paths below a loop's folder; `told` hears how many of how many."""
    done, total = [0], len(files)

    def read_one() -> None:
        done[0] += 1
        told(done[0], total)

    return FileReader(LocalFiles({f"{LOOP}/{p}": f for p, f in files.items()}, read_one), _settings(), thorough=True)


@dataclass(frozen=True, slots=True)
class _Looking:
    reader: FileReader
    imagined: Sequence[BlobInfo] = ()


def _checked(looking: _Looking, config: LoopConfig, wrong: Sequence[Problem], names: Mapping[str, str]) -> Checked:
    listing = Listing.of(LOOP, [*looking.reader.data.list(f"{LOOP}/"), *looking.imagined])
    catalogue = Catalogue(CatalogueStore(FakeBlobStore(), LOOP), looking.reader, lambda: True, dict)
    refreshed = catalogue.refresh(listing, "", config)
    state = summary_state(refreshed, config)
    found = problem_document([*wrong, *state.dataset_problems], refreshed.index, {}, _EVERYTHING)
    found["problems"] = [{**p, "file": names.get(p["file"], p["file"])} for p in found["problems"]]
    return Checked(state, {name: found[name] for name in ("count", "by_severity", "by_code", "problems")})


@dataclass(frozen=True, slots=True)
class _Imagining(FileReader):
    """Images are as a label file describes them: their names and sizes are all that is known."""

    images: Mapping[str, ImageFacts] = field(default_factory=dict)

    def read(self, path: str, blob: BlobInfo, options: Options = DEFAULT) -> Read | None:
        if path in self.images:
            return ImageEntry(path, blob.etag, _content(path), self.images[path])
        return FileReader.read(self, path, blob, options)


def _content(path: str) -> str:
    return hashlib.md5(path.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _alone(files: Mapping[str, Path], told: Told) -> _Looking:
    """A label file is read once more for what it says of images, so that its boxes are held against that."""
    plain = reader(files, told)
    [blob] = plain.data.list()
    read = plain.read(path := blob.name.removeprefix(f"{LOOP}/"), blob)
    records = [filed.record for filed in read[1]] if isinstance(read, tuple) else []
    found = {_image_of(path, r): ImageFacts("", r.width, r.height) for r in records if r.width and r.height}
    images = {name: facts for name, facts in found.items() if kind_of(name, 1) == "image"}
    imagining = _Imagining(plain.data, plain.settings, images=images)
    return _Looking(imagining, [BlobInfo(f"{LOOP}/{name}", '"0"', 1, blob.modified) for name in images])


def _image_of(path: str, record: ImageRecord) -> str:
    name = record.image.replace("\\", "/").lstrip("/") or f"{PurePosixPath(path).stem}.jpg"
    return f"images/{name.removeprefix('images/')}"
