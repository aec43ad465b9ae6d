"""The files that something sent becomes, below a loop's folder; names come from outside and never leave it."""

from __future__ import annotations

from services.catalogue.paths import IMAGES, LABELS, kind_of
from services.errors import BadRequest
from services.names import is_loop_name

MOST_PATH = 960
"""Characters: Azure takes 1,024 with the loop's name before them."""
MOST_FOLDERS = 240
"""Azure takes 254 parts."""


def image_file(name: str) -> str:
    """The file of an image that was sent under a name.

    Raises:
        BadRequest: it is not a name that an image may have.
    """
    return _checked(f"{IMAGES}{name}", "image")


def label_file(image: str, folder: str = "") -> str:
    """The label file of an image by its name, with its folders, since these tell images of one name apart.

    Raises:
        BadRequest: it is not a name that an image may have.
    """
    folders, slash, base = image.rpartition("/")
    stem = base.rpartition(".")[0] or base
    return _checked(f"{LABELS}{folder}{folders}{slash}{stem}.json", "label")


def below_images(path: str) -> str:
    """The part that tells images apart: what follows `<loop>/images/` or else `images/`, or else the last part.

    Other folders are those of a labelling tool or of its storage, and none of the loop's.
    """
    parts = [part for part in path.split("/") if part]
    at = max((i for i, part in enumerate(parts[:-1]) if part == "images"), default=len(parts) - 2)
    of_loop = (i for i in range(1, at + 1) if parts[i] == "images" and is_loop_name(parts[i - 1]))
    return "/".join(parts[next(of_loop, at) + 1 :])


def with_all_folders(path: str, folder: str) -> str:
    """The label file of an image under all its folders; empty where no other image can have its shorter name.

    Nothing is known of the folders of what was uploaded into a tool.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) < 2 or "images" in parts[:-1] or "upload" in parts[:-1]:
        return ""
    try:
        return label_file("/".join(parts), folder)
    except BadRequest:
        return ""


def _checked(path: str, kind: str) -> str:
    # Azure takes a backslash for a slash, so that one could leave the folder too.
    is_large = len(path) > MOST_PATH or path.count("/") > MOST_FOLDERS
    if is_large or "\\" in path or not all(path.split("/")) or kind_of(path, 1) != kind:
        shown = path.partition("/")[2][:100]
        raise BadRequest(
            f"name: {shown!r} is no path of an image: such as shelf/1.jpg, with the ending of a kind that is taken, "
            f"without '..', of {MOST_PATH} characters at most"
        )
    return path
