"""Reads single files of the data container for the catalogue: image headers by range, label files by stream."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from services.catalogue.claims import claimed
from services.catalogue.cut_off import TAIL, cut_off, ends_well
from services.catalogue.documents import MOST_PROBLEMS, FiledRecord, ImageEntry, LabelEntry
from services.catalogue.images import ImageFacts, Unreadable, read_facts
from services.catalogue.paths import kind_of
from services.cloud.ports.storage import BlobInfo, BlobReader
from services.config_file import MOST_BYTES
from services.errors import ChangedMeanwhile, NotFound
from services.labels.class_lists import read_class_list
from services.labels.formats import OpenLabels, open_labels
from services.labels.options import DEFAULT, Options
from services.labels.problems import problem, worst_first
from services.labels.record import ImageRecord
from services.settings import Settings
from services.state import Problem

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
Read = ImageEntry | tuple[LabelEntry, list[FiledRecord]]


class _Refused(Exception):
    def __init__(self, code: str, expected: str, found: str) -> None:
        super().__init__(code)
        self.code, self.expected, self.found = code, expected, found


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads what was listed. A file that changed or vanished since is None: the next listing shows it as it is."""

    data: BlobReader
    settings: Settings
    thorough: bool = False
    """Whether the end of every image is looked at too: another read an image, which a local folder can afford."""

    def read(self, path: str, blob: BlobInfo, options: Options = DEFAULT) -> Read | None:
        """Read one file, whatever it is; its content raises nothing."""
        kind = kind_of(path, blob.size)
        try:
            if kind == "image":
                return self._image(path, blob)
            if kind == "class list":
                return self._class_list(path, blob), []
            return self._labels(path, blob, options) if kind == "label" else self._other(path, blob)
        except (NotFound, ChangedMeanwhile):
            return None

    def _image(self, path: str, blob: BlobInfo) -> ImageEntry:
        content = blob.md5 or self._md5(blob)
        try:
            return ImageEntry(path, blob.etag, content, self._facts(blob))
        except _Refused as why:
            trouble = problem(why.code, path, expected=why.expected, found=why.found)
            return ImageEntry(path, blob.etag, content, problem=trouble)

    def _facts(self, blob: BlobInfo) -> ImageFacts:
        if blob.size > self.settings.max_image_bytes:
            limit = f"at most {self.settings.max_image_bytes} bytes (setting VISIONLOOP_MAX_IMAGE_BYTES)"
            raise _Refused("image-too-large", limit, f"{blob.size} bytes")
        return self._claimed(blob) or self._header(blob)

    def _claimed(self, blob: BlobInfo) -> ImageFacts | None:
        """Facts that need no look; what is claimed to be too large is looked at, as the header decides."""
        if self.thorough or not self.settings.trust_image_metadata:
            return None
        facts = claimed(blob.claim, blob.md5)
        return facts if facts and facts.width * facts.height <= self.settings.max_image_pixels else None

    def _header(self, blob: BlobInfo) -> ImageFacts:
        seen = bytearray()

        def read(offset: int, length: int) -> bytes:
            seen.extend(found := self._range(blob, offset, length))
            return found

        try:
            facts = read_facts(read, blob.size)
        except Unreadable as error:
            raise _Refused("image-unreadable", "a JPEG, PNG, BMP, WebP or TIFF image", str(error)) from None
        if facts.width * facts.height > self.settings.max_image_pixels:
            limit = f"at most {self.settings.max_image_pixels} pixels (setting VISIONLOOP_MAX_IMAGE_PIXELS)"
            raise _Refused("image-too-many-pixels", limit, f"{facts.width} x {facts.height} pixels")
        if why := self._cut_off(facts.format, blob, bytes(seen)):
            raise _Refused("image-truncated", "all of the image", why)
        return facts

    def _cut_off(self, kind: str, blob: BlobInfo, seen: bytes) -> str:
        """Nothing more is read for it, unless all images are to be looked at in full."""
        if self.thorough and len(seen) < blob.size:
            tail = self._range(blob, blob.size - TAIL, TAIL)
            if ends_well(kind, seen, tail, blob.size):
                return ""
            seen = self._range(blob, 0, blob.size)
        return cut_off(kind, seen) if len(seen) == blob.size else ""

    def _range(self, blob: BlobInfo, offset: int, length: int) -> bytes:
        if not length:
            return b""
        found = self.data.read(blob.name, offset=offset, length=length)
        if _quoted(found.etag) != _quoted(blob.etag):
            raise ChangedMeanwhile(f"{blob.name} has changed")
        return found.data

    def _md5(self, blob: BlobInfo) -> str:
        """Blobs that were uploaded in blocks may have no MD5 in the listing."""
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self.data.stream(blob.name, etag=_quoted(blob.etag)):
            digest.update(chunk)
        return digest.hexdigest()

    def _labels(self, path: str, blob: BlobInfo, options: Options) -> tuple[LabelEntry, list[FiledRecord]]:
        chunks = self._stream(blob)
        opened = open_labels(path, blob.size, self.settings.max_label_file_bytes, chunks, options)
        found = _Collected(path, blob, opened)
        for reading in opened.readings:
            found.take(reading)
        return found.entry(), found.records

    def _class_list(self, path: str, blob: BlobInfo) -> LabelEntry:
        text = self._range(blob, 0, min(blob.size, MOST_BYTES + 1))
        names, problems = read_class_list(path, text)
        found = tuple(worst_first(problems, MOST_PROBLEMS))
        codes = Counter(p.code for p in problems)
        modified = blob.modified.timestamp()
        return LabelEntry(path, blob.etag, modified, "class list", problems=found, codes=codes, class_list=names)

    def _stream(self, blob: BlobInfo) -> Iterator[bytes]:
        yield from self.data.stream(blob.name, etag=_quoted(blob.etag))

    def _other(self, path: str, blob: BlobInfo) -> tuple[LabelEntry, list[FiledRecord]]:
        kind = kind_of(path, blob.size)
        if kind == "unusable":
            trouble = problem("name-unusable", path, expected="a plain name of at most 1024 characters", found=path)
        elif kind == "misplaced":
            trouble = problem("file-misplaced", path, expected="images/ or labels/", found=path)
        else:
            expected = (
                "the archive's files, unpacked" if path.lower().endswith(_ARCHIVES) else "an image or a label file"
            )
            trouble = problem("label-file-unknown", path, expected=expected, found=path)
        modified = blob.modified.timestamp()
        return LabelEntry(path, blob.etag, modified, problems=(trouble,), codes={trouble.code: 1}), []


class _Collected:
    """What a label file yields; of its problems the worst are kept."""

    def __init__(self, path: str, blob: BlobInfo, opened: OpenLabels) -> None:
        self._path, self._blob, self._opened = path, blob, opened
        self._modified = blob.modified.timestamp()
        self.records: list[FiledRecord] = []
        self._problems: list[Problem] = []
        self._codes: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()

    def take(self, reading: ImageRecord | Problem) -> None:
        if isinstance(reading, ImageRecord):
            filed = FiledRecord.of(self._path, self._modified, reading, per_image=self._opened.per_image)
            self.records.append(filed)
            return
        self._codes[reading.code] += 1
        if self._kept[reading.severity] < MOST_PROBLEMS:  # many notes must not hide an error behind them
            self._kept[reading.severity] += 1
            self._problems.append(reading)

    def entry(self) -> LabelEntry:
        problems, opened = tuple(worst_first(self._problems, MOST_PROBLEMS)), self._opened
        etag, format_ = self._blob.etag, opened.format
        codes, images = self._codes, len(self.records)
        return LabelEntry(self._path, etag, self._modified, format_, opened.per_image, problems, codes, images=images)


def _quoted(etag: str) -> str:
    """Listings have ETags without quotes, headers with them."""
    return '"{}"'.format(etag.strip('"'))
