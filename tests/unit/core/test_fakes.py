"""Of the fakes, what no test of the product would notice at once."""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from services.cloud.fakes import FakeBlobStore
from services.errors import ChangedMeanwhile


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


def test_of_those_who_write_at_once_each_has_its_effect() -> None:
    """A write between another's comparison and its write was lost, as no service loses it."""
    store, wanted = FakeBlobStore(), 8 * 300
    store.write("count", b"0")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def count(_: int) -> None:
        done = False
        while not done:
            known = store.read("count")
            with suppress(ChangedMeanwhile):
                store.write("count", b"%d" % (int(known.data) + 1), etag=known.etag)
                done = True

    try:
        with ThreadPoolExecutor(8) as pool:
            deque(pool.map(count, range(wanted)), maxlen=0)
    finally:
        sys.setswitchinterval(before)
    assert int(store.read("count").data) == wanted
