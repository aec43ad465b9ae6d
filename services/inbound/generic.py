"""The body of a generic message: images, labels, or both."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self

import pybase64
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import from_json

from services.catalogue.claims import claim_of_bytes
from services.catalogue.paths import IMAGES, LABELS, kind_of, without_extension
from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, ChangedMeanwhile, NotFound, TooLarge
from services.inbound.paths import image_file, label_file
from services.inbound.taken import Begun
from services.labels.label_file import LabelFile
from services.members import read_members
from services.settings import Settings

THREADS = 16
_TRIES = 8
_SENT = "sent "
"""Before the time in the metadata of a label: when the message that it is of came first."""


@dataclass(frozen=True, slots=True)
class File:
    """What an item asks for."""

    path: str
    """Below the loop's folder."""
    content: bytes
    image: str = ""
    """Of a label: the image's name, with its folders."""


class Item(BaseModel):
    """One image."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=900)]
    """Its path below `images/`, such as `shelf/1.jpg`."""
    image: str | None = None
    """Its bytes in base64; left out where the loop has the image, or gets it otherwise."""
    label: LabelFile | None = None
    """What is known of it; replaces what was sent of it before."""

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.image is None and self.label is None:
            raise ValueError("an image, a label or both are needed")
        return self


class Message(BaseModel):
    """What a generic source sends."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[Item], Field(min_length=1)]


def files_of(body: bytes, settings: Settings) -> list[File]:
    """The files that a message asks for, images first; nothing is written before all of it was looked at.

    Raises:
        BadRequest: saying which member is wrong.
        TooLarge: over a limit of the settings.
    """
    try:
        message = read_members(Message, from_json(body))
    except ValueError:
        raise BadRequest('The body must be JSON, such as {"items": [{"name": "1.jpg", "label": …}]}') from None
    limit = settings.max_request_images
    if len(message.items) > limit:
        raise TooLarge(f"{len(message.items)} items are over VISIONLOOP_MAX_REQUEST_IMAGES = {limit}", limit=limit)
    found = [file for index, item in enumerate(message.items) for file in _files(f"items.{index}", item, settings)]
    last = {(file.path, file.image): file for file in found}  # of several items of one name
    return sorted(last.values(), key=lambda file: bool(file.image))


def write_files(data: BlobStore, loop: str, files: Sequence[File], begun: Begun | None = None) -> list[str]:
    """Write the files below a loop's folder, in threads since somebody waits; returns them, images first.

    A message that comes again leaves labels alone that came after its first time; `begun` tells that.
    """
    images, labels = [file for file in files if not file.image], [file for file in files if file.image]

    def write(file: File) -> str:
        data.write(f"{loop}/{file.path}", file.content, claim=claim_of_bytes(file.content))
        return file.path

    with ThreadPoolExecutor(min(THREADS, max(1, len(files)))) as pool:
        written = [*pool.map(write, images), *pool.map(lambda file: _write_label(data, loop, file, begun), labels)]
    return [*filter(None, written)]


def _write_label(data: BlobStore, loop: str, file: File, begun: Begun | None) -> str:
    """Write a label file, most of which are new; returns its path, or nothing where there is a newer one.

    Of `1.jpg` and `1.png` the second would write over the first: its file has the image's extension too.

    Raises:
        ChangedMeanwhile: others were faster each time.
    """
    path, claim = file.path, f"{_SENT}{begun.at.isoformat()}" if begun else ""
    for _ in range(_TRIES):
        try:
            data.write(f"{loop}/{path}", file.content, create=True, claim=claim)
        except ChangedMeanwhile:
            pass
        else:
            return path
        try:
            there = data.read(f"{loop}/{path}")
            if path == file.path and _is_of_another(there.data, file.image):
                path = f"{LABELS}{file.image}.json"
                continue
            if begun and begun.again and _is_newer(data, f"{loop}/{path}", begun.at):
                return ""
            data.write(f"{loop}/{path}", file.content, etag=there.etag, claim=claim)
        except (NotFound, ChangedMeanwhile):
            continue
        return path
    raise ChangedMeanwhile("Others are writing the same label; try again")


def _is_newer(data: BlobStore, name: str, since: datetime) -> bool:
    """Whether a label came after a message: what messages wrote says when they came, the rest when it was written."""
    found = next((blob for blob in data.list(name) if blob.name == name), None)
    if found is None:
        return False
    sent = found.claim.removeprefix(_SENT) if found.claim.startswith(_SENT) else ""
    try:
        return datetime.fromisoformat(sent) > since
    except (ValueError, TypeError):
        return found.modified > since


def _is_of_another(content: bytes, image: str) -> bool:
    """Whether a label file names an image that differs from its own by the extension only."""
    try:
        named = json.loads(content)["image"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return False
    other, own = str(named).rpartition("/")[2], image.rpartition("/")[2]
    is_image = kind_of(f"{IMAGES}{other}", 1) == "image"
    return is_image and other != own and without_extension(other) == without_extension(own)


def _files(place: str, item: Item, settings: Settings) -> Iterator[File]:
    try:
        image, label = image_file(item.name), label_file(item.name)
    except BadRequest as error:
        raise BadRequest(f"{place}.{error.detail}") from None
    if item.image is not None:
        yield File(image, _decoded(place, item.image, settings.max_image_bytes))
    if item.label is not None:
        yield File(label, item.label.model_copy(update={"image": item.name}).to_json(), item.name)


def _decoded(place: str, text: str, limit: int) -> bytes:
    if len(text) // 4 * 3 - text[-2:].count("=") > limit:
        raise TooLarge(f"{place}.image is over VISIONLOOP_MAX_IMAGE_BYTES = {limit}", limit=limit)
    try:
        data = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{place}.image: it is not base64") from None
    if not data:
        raise BadRequest(f"{place}.image: it is empty")
    return data
