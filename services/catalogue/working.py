"""The buckets of a catalogue that are being worked on, loaded when first asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from services.catalogue.documents import (
    FORMAT,
    Bucket,
    BucketRef,
    FiledRecord,
    ImageEntry,
    Index,
    LabelEntry,
    listing_digest,
)
from services.catalogue.kept import is_unreadable, keep
from services.catalogue.listing import Listing, digest_of
from services.catalogue.paths import bucket_of
from services.catalogue.reading import Read
from services.catalogue.sides import Sides
from services.catalogue.store import THREADS, CatalogueStore
from services.cloud.ports.storage import BlobInfo
from services.labels.options import Options

BUCKET_FILES = 2048
"""Files that a bucket holds on average before there are twice as many buckets."""


@dataclass(slots=True)
class Changes:
    """How a listing differs from the catalogue."""

    gone: set[str] = field(default_factory=set)
    fresh: dict[str, BlobInfo] = field(default_factory=dict)
    """New or changed files."""


class Working:
    """One catalogue while it changes. Nothing is durable before `commit`."""

    def __init__(self, store: CatalogueStore, index: Index, sides: Sides) -> None:
        """`sides` is changed in place."""
        self._store, self.index, self.sides = store, index, sides
        self._loaded: dict[int, Bucket] = {}
        self._replaced: dict[str, LabelEntry] = {}
        self._added: list[FiledRecord] = []

    @property
    def count(self) -> int:
        return len(self.index.buckets)

    @property
    def loaded(self) -> dict[int, Bucket]:
        """Buckets that may have changed."""
        return self._loaded

    def bucket(self, number: int) -> Bucket:
        if number not in self._loaded:
            self._loaded[number] = self._store.bucket(self.index.buckets[number].blob)
        return self._loaded[number]

    def load(self, numbers: Iterable[int]) -> None:
        """Load several buckets at once."""
        missing = [n for n in numbers if n not in self._loaded]
        with ThreadPoolExecutor(THREADS) as pool:
            blobs = [self.index.buckets[n].blob for n in missing]
            self._loaded.update(zip(missing, pool.map(self._store.bucket, blobs), strict=True))

    def all(self) -> Iterator[tuple[int, Bucket]]:
        """Every bucket."""
        self.load(range(self.count))
        yield from sorted(self._loaded.items())

    def grow(self, files: int) -> None:
        """Have more buckets where there are many files; everything is dealt out anew then."""
        wanted = self.count
        while wanted * BUCKET_FILES < files:
            wanted *= 2
        if wanted == self.count:
            return
        old = [bucket for _, bucket in self.all()]
        self._loaded = {n: Bucket() for n in range(wanted)}
        self.index.buckets = [BucketRef() for _ in range(wanted)]
        self.index.view = None
        for bucket in old:
            self._deal(bucket)
        self._describe()

    def _deal(self, bucket: Bucket) -> None:
        for image in bucket.images.values():
            self.bucket(bucket_of(image.path, self.count)).images[image.path] = image
        for label in bucket.labels.values():
            self.bucket(bucket_of(label.path, self.count)).labels[label.path] = label
        self.file(bucket.records)

    def file(self, records: Iterable[FiledRecord]) -> None:
        """Put records where the images are that they are about."""
        for filed in records:
            self.bucket(bucket_of(filed.reference.replace("\\", "/"), self.count)).records.append(filed)

    def changes(self, listing: Listing, options: Options) -> Changes:
        """Compare; only buckets whose files differ are loaded, and all where label files are to be read otherwise."""
        found, wanted = Changes(), listing.buckets(self.count)
        dirty = [n for n, files in enumerate(wanted) if digest_of(files) != self.index.buckets[n].listed]
        self.load(dirty)
        for number in dirty:
            etags = self.bucket(number).etags()
            found.gone |= etags.keys() - wanted[number].keys()
            found.fresh.update((p, b) for p, b in wanted[number].items() if etags.get(p) != b.etag)
        if self.index.options != options:
            self.index.options = options
            found.fresh.update(self._bulk_files(listing))
        return found

    def _bulk_files(self, listing: Listing) -> Iterator[tuple[str, BlobInfo]]:
        for _, bucket in self.all():
            bulk = [label for label in bucket.labels.values() if not label.per_image and label.path in listing.files]
            bucket.labels.update((label.path, label.stale) for label in bulk)
            yield from ((label.path, listing.files[label.path]) for label in bulk)

    def renew(self) -> None:
        """Have everything read again that a catalogue of another format holds; until then it counts.

        All is dealt out anew, as what is shared by an image and its labels may be told otherwise now.
        """
        old = [bucket for _, bucket in self.all()]
        self._loaded = {number: Bucket() for number in range(self.count)}
        for bucket in old:
            bucket.images = {path: replace(image, etag="") for path, image in bucket.images.items()}
            bucket.labels = {path: label.stale for path, label in bucket.labels.items()}
            bucket.records = [filed for filed in bucket.records if filed.loads]
            self._deal(bucket)
        for ref in self.index.buckets:
            ref.listed = ""
        self.index.format, self.index.view = FORMAT, None

    def forget(self, changes: Changes) -> None:
        """Drop what is gone. What changed counts on until it is read."""
        for path in changes.gone:
            bucket = self.bucket(bucket_of(path, self.count))
            bucket.images.pop(path, None)
            if entry := bucket.labels.pop(path, None):
                self._replaced[path] = entry

    def put(self, read: Read) -> None:
        """Take over one file that was read; its records take their place when all is settled."""
        if isinstance(read, ImageEntry):
            self._put_image(read)
            return
        label, records = read
        labels = self.bucket(bucket_of(label.path, self.count)).labels
        before = labels.get(label.path)
        if before and is_unreadable(label) and (kept := keep(before, label, self._images(before))):
            labels[label.path] = kept
            return
        if before:
            self._replaced[label.path] = before
        labels[label.path] = label
        self._added += records

    def _images(self, label: LabelEntry) -> int:
        """Records of a file in the catalogue."""
        if label.images is not None:
            return label.images
        buckets = (self.bucket(number) for number in self._where([label]))
        return sum(filed.file == label.path for bucket in buckets for filed in bucket.records)

    def settle(self) -> None:
        """Let the records that were read take the place of those that their files had before."""
        numbers = sorted(self._where(self._replaced.values()))
        for start in range(0, len(numbers), THREADS):
            self.load(some := numbers[start : start + THREADS])
            for bucket in map(self.bucket, some):
                bucket.records = [r for r in bucket.records if r.file not in self._replaced]
        self.file(self._added)
        self._replaced, self._added = {}, []

    def _where(self, labels: Collection[LabelEntry]) -> Collection[int]:
        """Buckets that may hold records of these files."""
        if any(not label.reading.per_image for label in labels):
            return range(self.count)
        return {bucket_of(label.path, self.count) for label in labels}

    def _put_image(self, image: ImageEntry) -> None:
        images = self.bucket(bucket_of(image.path, self.count)).images
        old = images.get(image.path)
        # an image that is overwritten, scaled down say, stays on its side
        if old and (side := old.side or self.sides.get(old.content)):
            self.sides.assign(image.content, side)
        images[image.path] = image

    def note_sides(self, number: int, contents: Collection[str]) -> None:
        """Have the images with these contents remember their side."""
        images = self.bucket(number).images
        for path, image in images.items():
            if image.side is None and image.content in contents:
                images[path] = replace(image, side=self.sides[image.content])

    def _describe(self) -> None:
        for number, bucket in self._loaded.items():
            self.index.buckets[number].listed = listing_digest(bucket.etags().items())

    def commit(self) -> str:
        """Write what changed; returns the index's blob."""
        self._describe()
        refs = [self.index.buckets[number] for number in self._loaded]
        for ref, blob in zip(refs, self._store.write_buckets(self._loaded.values(), refs), strict=True):
            ref.blob = blob
        self.sides.spread(self.count)
        self.index.splits = self.sides.commit()
        return self._store.write_index(self.index)
