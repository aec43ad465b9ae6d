"""What an image is, told by its first bytes: format, displayed size, EXIF rotation. Nothing is decoded.

Pillow's format classes are used directly: `Image.open` would go by every format it knows, and warns of large images
where we refuse them by the size they declare.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.labels.frame import Frame

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

HEADER = 1 << 16
"""Bytes that are read first: enough for nearly every header, EXIF thumbnail included."""
_ORIENTATION, _WIDTH, _HEIGHT = 274, 256, 257
_TURNED = {5, 6, 7, 8}


class Unreadable(ValueError):
    """The bytes are no image of a kind that is read, or a broken one."""


class UnknownKind(Unreadable):
    """The bytes do not begin as an image of a kind that is read does."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Format in AutoML's words, and size in pixels as displayed; `rotated` where it differs from the stored one."""

    format: str
    width: int
    height: int
    rotated: bool = False

    @property
    def frame(self) -> Frame:
        """What labels are held against."""
        return Frame(self.width, self.height, self.rotated)


def read_facts(read: Callable[[int, int], bytes], size: int) -> ImageFacts:
    """Read as few bytes as tell; `read` takes offset and length, `size` is the blob's.

    Raises:
        Unreadable: the bytes are no such image, or end within its header.
    """
    data = read(0, min(HEADER, size))
    while True:
        try:
            return _facts(data, whole=len(data) >= size)
        except Unreadable:
            if len(data) >= size:
                raise
        more = read(len(data), min(15 * len(data), size - len(data)))
        if not more:
            raise Unreadable("it ends within its header")
        data += more


def orientation_of(data: bytes) -> int:
    """EXIF's orientation of a readable image: 1 where it is displayed as it is stored."""
    kind = _kind(data)
    return _measures(kind, open_image(kind, data))[2]


def open_image(kind: str, data: bytes) -> ImageFile:
    """Pillow's image of a known kind, nothing decoded yet. Raises whatever Pillow raises."""
    return _opener(kind)(io.BytesIO(data))


def _facts(data: bytes, *, whole: bool) -> ImageFacts:
    kind = _kind(data)
    if kind in {"webp", "tiff"} and not whole:
        raise Unreadable("the header of this format may be anywhere")
    try:
        image = open_image(kind, data)
        width, height, orientation = _measures(kind, image)
    except Exception as error:  # noqa: BLE001  # decoders of hostile bytes raise anything
        raise Unreadable(f"a broken {kind.upper()} header: {str(error)[:100]}") from None
    turned = orientation in _TURNED
    return ImageFacts(kind, *((height, width) if turned else (width, height)), turned)


def _kind(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    raise UnknownKind("an empty file" if not data else f"a file that begins with {repr(data[:8])[1:]}")


_MAGIC = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}


def _opener(kind: str) -> Callable[[io.BytesIO], ImageFile]:
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

    return {
        "jpeg": JpegImagePlugin.JpegImageFile,
        "png": PngImagePlugin.PngImageFile,
        "bmp": BmpImagePlugin.BmpImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
        "tiff": TiffImagePlugin.TiffImageFile,
    }[kind]


def _measures(kind: str, image: Any) -> tuple[int, int, int]:
    """Stored width and height, and EXIF orientation (1 where there is none)."""
    if kind == "tiff":
        tags = image.tag_v2
        return int(tags[_WIDTH]), int(tags[_HEIGHT]), int(tags.get(_ORIENTATION, 1))
    width, height = image.size
    if width < 1 or height < 1:
        raise ValueError("no size")
    return width, height, _orientation(image.info.get("exif", b""))


def _orientation(exif: bytes) -> int:
    from PIL.Image import Exif

    if not exif:
        return 1
    found = Exif()
    try:
        found.load(exif)
        return int(found.get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  # a broken EXIF block leaves the image as it is stored, as viewers do
        return 1
