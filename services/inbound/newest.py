"""The labels of images that several annotations are about: whatever the order of messages, the same file results.

What is known of an image is one document: each annotation with its time and its file's content. Messages are merged
into it; a deletion stays. The newest annotation that has a content is the label file.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore
from services.errors import NotFound
from services.inbound.documents import change, changed, read
from services.names import digest

THREADS = 8
MOST_KEPT = 100
"""Annotations of one image; beyond it those are forgotten that say nothing, then the oldest."""


class Entry(BaseModel):
    """One annotation."""

    at: datetime
    content: str | None = None
    """The label file; None where the annotation says nothing (skipped, or deleted)."""
    is_deleted: bool = False

    @property
    def rank(self) -> tuple[bool, datetime]:
        """Of two entries of one annotation the greater holds."""
        return self.is_deleted, self.at


class _Image(BaseModel):
    entries: dict[str, Entry] = Field(default_factory=dict)
    whole: str = ""
    """The file's name with all folders of the image that came first, where that is longer."""
    image: str = ""
    """The name of that image, without folders."""

    def claim(self, image: str, whole: str, shared: int) -> None:
        """The image that comes first has the file."""
        self.whole = self.whole or whole
        if not _contradict(self.whole, whole, shared):
            self.image = self.image or image

    def merge(self, annotation: str, entry: Entry) -> None:
        known = self.entries.get(annotation)
        if known is None or entry.rank >= known.rank:
            self.entries[annotation] = entry
        least_first = sorted(self.entries.items(), key=lambda each: (each[1].content is not None, each[1].at))
        self.entries = dict(least_first[-MOST_KEPT:])

    def winner(self) -> tuple[datetime | None, str, str | None]:
        """When the entry that holds was made, its key, and its content."""
        found = [(e.at, key, e.content) for key, e in self.entries.items() if e.content is not None]
        return max(found, default=(None, "", None))


class _Annotation(BaseModel):
    file: str = ""
    at: datetime | None = None
    """When it was changed so that it is about this file."""
    before: list[str] = Field(default_factory=list)
    """Files of other images that it was about: its task was given another one."""
    task: str = ""
    is_deleted: bool = False

    def move(self, file: str, at: datetime, task: str) -> None:
        """Messages come in any order: it is about the file that the newest names."""
        if self.at is None or at >= self.at:
            self.before = [each for each in dict.fromkeys([*self.before, self.file]) if each not in {"", file}]
            self.file, self.at, self.task = file, at, task
        elif file != self.file and file not in self.before:
            self.before.append(file)


class Newest:
    """The label files of a loop, as one of its sources knows them."""

    def __init__(self, data: BlobStore, system: BlobStore, source: str, loop: str) -> None:
        """`data` has the loop's files, `system` what is known of them."""
        self._data, self._system, self._source, self._loop = data, system, source, loop

    def own(self, file: str, image: str, whole: str) -> str:
        """The file of an image: another than `file` where another image has that already.

        Of `train/1.jpg` and `val/1.jpg` the second would write over the first, and of `1.jpg` and `1.png`; it gets
        `whole`, with all its folders, or is named as the image with its extension.
        """
        known = self._claimed(file, image, whole, shared := file.count("/"))
        if whole and _contradict(known.whole, whole, shared):
            file, known = whole, self._claimed(whole, image, whole, shared)
        return file if known.image == image else f"{file[: file.rindex('/')]}/{image}.json"

    def _claimed(self, file: str, image: str, whole: str, shared: int) -> _Image:
        return change(self._system, self._about(file), _Image, lambda known: known.claim(image, whole, shared))

    def put(self, annotation: str, file: str, at: datetime, content: str | None, task: str = "") -> None:
        """An annotation as it was at a time; one that was deleted stays so."""
        index = change(self._system, self._index(annotation), _Annotation, lambda i: i.move(file, at, task))
        for left in index.before:
            self.merge(annotation, left, Entry(at=index.at or at))
        if not index.is_deleted and index.file == file:
            self.merge(annotation, file, Entry(at=at, content=content))

    def delete(self, annotation: str, at: datetime) -> str:
        """Deletions name an annotation only; returns its label file, or nothing where it is not known yet."""
        index = change(self._system, self._index(annotation), _Annotation, lambda i: setattr(i, "is_deleted", True))
        for file in filter(None, [index.file, *index.before]):
            self.merge(annotation, file, Entry(at=at, is_deleted=True))
        return index.file

    def files_of_tasks(self, tasks: Collection[str]) -> list[str]:
        """The label files that are there and were made of annotations of some tasks: a look at all annotations."""
        names = [blob.name for blob in self._system.list(f"inbound/{self._source}/annotations/")]
        with ThreadPoolExecutor(THREADS) as pool:
            known = pool.map(lambda name: read(self._system, name, _Annotation)[0], names)
        files = {each.file for each in known if each.task in tasks and not each.is_deleted}
        return sorted(file for file in files if self._is_there(f"{self._loop}/{file}"))

    def _is_there(self, name: str) -> bool:
        return any(blob.name == name for blob in self._data.list(name))

    def merge(self, annotation: str, file: str, entry: Entry) -> None:
        """Take over what is known of an annotation that no deletion will name without its file.

        A file that is as it should be is left alone, but where a label was saved anew: written again by a message that
        is repeated or late, it would win over what was uploaded since.
        """
        name, key, is_new = self._about(file), f"{self._source}:{annotation}", False

        def take(image: _Image) -> None:
            nonlocal is_new
            before = image.winner()
            image.merge(key, entry)
            is_new = image.winner() != before

        image, etag = changed(self._system, name, _Image, take)
        while True:
            self._write(f"{self._loop}/{file}", image.winner()[2], is_new=is_new)
            written, is_new = etag, False
            image, etag = read(self._system, name, _Image)
            # Where others merged meanwhile, the file may be theirs or ours: it is written once more.
            if etag == written:
                return

    def _write(self, name: str, content: str | None, *, is_new: bool) -> None:
        if content is None:
            self._data.delete(name)
        elif is_new or not self._has(name, content):
            self._data.write(name, content.encode())

    def _has(self, name: str, content: str) -> bool:
        try:
            return self._data.read(name).data == content.encode()
        except NotFound:
            return False

    def _about(self, file: str) -> str:
        """Of the loop: its sources write the same files."""
        return f"inbound/images/{self._loop}/{digest(file, length=32)}.json"

    def _index(self, annotation: str) -> str:
        return f"inbound/{self._source}/annotations/{digest(annotation, length=32)}.json"


def _contradict(one: str, other: str, shared: int) -> bool:
    """Whether folders differ, from the last up to where one path has no more; the `shared` first are ours."""
    above = zip(one.split("/")[: shared - 1 : -1], other.split("/")[: shared - 1 : -1], strict=False)
    return any(a != b for a, b in above)
