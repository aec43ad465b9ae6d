"""Captured images go when nobody labelled them in time; whatever may be labelled stays."""

from __future__ import annotations

from services.catalogue.documents import Bucket, BucketRef, FiledRecord, ImageEntry, Index
from services.catalogue.store import CatalogueStore
from services.cloud.fakes import FakeCloud
from services.inference.retention import Retention
from services.labels.record import ImageRecord
from services.names import state_blob
from services.state_store import StateStore
from tests.support.predictions import loop_state

DAY = 24 * 3600
FOLDER = "images/captured/2026-01-01/"


class World:
    def __init__(self) -> None:
        self.cloud = FakeCloud()
        self.data, self.system = self.cloud.data, self.cloud.system
        states = StateStore(self.system, self.cloud.clock)
        self.retention = Retention(self.data, self.system, states, self.cloud.clock)
        self.state = loop_state()
        for name in ("a", "b"):
            self.data.write(f"cards/{FOLDER}{name}.jpg", b"x")
            self.system.write(f"suggestions/cards/captured/2026-01-01/12-{name}.json", b"{}")
        self.data.write("cards/images/own.jpg", b"x")

    def catalogue(self, *labelled: str) -> None:
        """Both images are known; these have labels."""
        store = CatalogueStore(self.system, "cards")
        bucket = Bucket()
        for name in ("a", "b"):
            path = f"{FOLDER}{name}.jpg"
            bucket.images[path] = ImageEntry(path, "1", name)
        for name in labelled:
            record = ImageRecord(f"{name}.jpg", "line 1")
            bucket.records.append(FiledRecord.of("labels/all.json", 0.0, record, per_image=False))
        index = Index(buckets=[BucketRef(blob=store.write_buckets([bucket], [BucketRef()])[0])])
        self.state.catalogue.blob = store.write_index(index)

    def forget(self, days: float) -> list[str]:
        self.system.write(state_blob("cards"), self.state.model_dump_json().encode())
        self.cloud.clock.advance(days * DAY)
        self.retention.forget()
        return [
            blob.name.removeprefix("cards/images/").removeprefix("captured/2026-01-01/") for blob in self.data.list()
        ]


def test_within_the_retention_everything_stays() -> None:
    w = World()
    w.catalogue()
    assert w.forget(29) == ["a.jpg", "b.jpg", "own.jpg"]
    assert len(list(w.system.list("suggestions/"))) == 2


def test_afterwards_only_what_was_labelled_stays_and_nothing_else_is_touched() -> None:
    w = World()
    w.catalogue("b")
    assert w.forget(31) == ["b.jpg", "own.jpg"]
    assert list(w.system.list("suggestions/")) == []


def test_what_the_catalogue_does_not_tell_of_stays() -> None:
    w = World()
    assert w.forget(31) == ["a.jpg", "b.jpg", "own.jpg"]
