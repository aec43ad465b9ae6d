"""Of the fakes, what no test of the product would notice at once."""

from __future__ import annotations

import threading

from services.cloud.fakes import FakeBlobStore


def test_a_container_is_listed_while_others_write() -> None:
    """The app over fakes has a thread that counts who asks: a listing that met it was an error."""
    store, over = FakeBlobStore(), threading.Event()

    def write() -> None:
        for number in range(30_000):
            store.write(f"a/{number % 3000}", b"")
            if number % 3000 == 2999:
                store.blobs.clear()
        over.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    while not over.is_set():
        assert set(store.folders()) <= {"a"}
        assert all(found.name.startswith("a/") for found in store.list())
    writer.join()
