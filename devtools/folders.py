"""A user's folder as a loop's: which path each of its files gets below `<loop>/` in the data container.

Images go below images/, label files beside their images or below labels/; folders of classes and of splits are kept.
A training script's files stay below code/, where a loop.yaml lies beside that folder: else `code` may be a class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path, PurePosixPath

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
LOOP = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
LOOP_RULE = "3 to 40 lower-case letters, digits and hyphens, a letter first"
CONFIG, CODE = "loop.yaml", "code/"
_KEPT = ("images/", "labels/")
_SHELVES = {"images", "labels"}
"""`train/images/1.jpg` and `train/labels/1.txt` are a pair: these parts of their paths say nothing."""


def visible_files(folder: Path) -> list[Path]:
    """Every file below a folder in order of name, without those of the system, of version control and of Python."""
    found = (f for f in folder.rglob("*") if f.is_file())
    return sorted(f for f in found if not _is_hidden(f.relative_to(folder).parts))


def _is_hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "__MACOSX", "__pycache__")) for part in parts)


def is_image(file: Path) -> bool:
    """Whether a file is meant as an image, by its name."""
    return file.suffix.lower() in IMAGES


def loop_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by their paths below a loop's folder."""
    return {path: folder / relative for path, relative in placed(f.relative_to(folder) for f in visible_files(folder))}


def placed(files: Iterable[Path]) -> list[tuple[str, Path]]:
    """Relative paths with the paths below the loop's folder, each one of its own: none takes another one's place."""
    relatives = list(files)
    is_loop = Path(CONFIG) in relatives
    found = {f.as_posix(): f for f in relatives if is_loop and f.as_posix().startswith(CODE)}
    with_images = {f.parent for f in relatives if is_image(f)}
    for relative in (f for f in relatives if f not in found.values()):
        where = "images" if is_image(relative) or relative.parent in with_images else "labels"
        others = (f"{where}/{n}/{relative.as_posix()}" for n in count(2))
        free = (
            p for p in chain((loop_path(relative, where), f"{where}/{relative.as_posix()}"), others) if p not in found
        )
        found[next(free)] = relative
    return list(found.items())


def loop_path(relative: Path, where: str) -> str:
    """Where a file goes; `where` is `images` or `labels`, for a file that lies in neither."""
    text = relative.as_posix()
    if text == CONFIG or text.startswith(_KEPT):
        return text
    *folders, name = PurePosixPath(text).parts
    if folders and folders[-1].lower() in _SHELVES:
        folders.pop()
    return "/".join((where, *folders, name))
