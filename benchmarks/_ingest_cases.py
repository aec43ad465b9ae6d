"""What `dev.py bench ingest` measures; each case makes its input in a folder of its own, outside the measured time."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from benchmarks._coco_file import TRAINING, VALIDATION, Shape, jpeg, name_of, size_of, write_coco
from benchmarks._stand_in import CONFIG, LABELS, LOOP, Process, Uploaded, now

EVENTS = 10_000
T = TypeVar("T")


def _timed(act: Callable[[], T]) -> tuple[T, float]:
    gc.collect()
    started = time.perf_counter()
    found = act()
    return found, time.perf_counter() - started


def in_process(folder: Path) -> dict[str, float]:
    """The small data set without HTTP."""
    return _build(_stand_in(folder, VALIDATION), VALIDATION)


def large(folder: Path) -> dict[str, float]:
    """The large data set without HTTP, and then one image with its label more."""
    process, data = _stand_in(folder, TRAINING)
    found = _build((process, data), TRAINING)
    width, height = size_of(data.images)
    data.write(f"{LOOP}/images/{Path(name_of(data.images)).stem}.xml", _voc(width, height))
    data.add_images(1)
    data.calls.clear()
    used = time.process_time()
    (version, _), seconds = _timed(lambda: process.register(2))
    used = time.process_time() - used
    _check(version.images, TRAINING.images + 1)
    shares = {"one_more_share": seconds / found["seconds"], "one_more_cpu_share": used / found["cpu_s"]}
    return {**found, "one_more_s": seconds, "one_more_cpu_s": used, **shares}


def _stand_in(folder: Path, shape: Shape) -> tuple[Process, Uploaded]:
    write_coco(folder / "instances.json", shape)
    (folder / "system").mkdir()
    data = Uploaded(shape.images, folder / "instances.json")
    return Process(data, folder / "system"), data


def _build(made: tuple[Process, Uploaded], shape: Shape) -> dict[str, float]:
    used = time.process_time()
    (version, wakes), seconds = _timed(lambda: made[0].register(1))
    used = time.process_time() - used
    _check(version.images, shape.images)
    _check(sum(version.annotations_per_class.values()), shape.boxes)
    return {"seconds": seconds, "cpu_s": used, "wakes": wakes}


def _voc(width: int, height: int) -> bytes:
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    box = "<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>90</xmax><ymax>90</ymax></bndbox>"
    return f"<annotation>{size}<object><name>class 1</name>{box}</object></annotation>".encode()


def on_azurite(folder: Path) -> dict[str, float]:
    """The small data set through the real SDK, uploaded as any tool does; then the same storage calls alone."""
    return _on_azurite(folder, lambda _: "")


def with_metadata(folder: Path) -> dict[str, float]:
    """The same, uploaded with what `dev.py upload` says of images."""
    from services.catalogue.claims import claim_of_bytes

    return _on_azurite(folder, claim_of_bytes)


def _on_azurite(folder: Path, said: Callable[[bytes], str]) -> dict[str, float]:
    import psutil

    from tests.support.cloud_process import running_cloud

    write_coco(folder / "instances.json", VALIDATION)
    with running_cloud(folder / "cloud", "--no-app") as cloud:
        azurite = psutil.Process(int(cloud.description()["pids"]["azurite"]))
        _upload(folder / "instances.json", said)
        used, theirs = time.process_time(), sum(azurite.cpu_times()[:2])
        (images, wakes), seconds = _timed(_register)
        used, theirs = time.process_time() - used, sum(azurite.cpu_times()[:2]) - theirs
        _check(images, VALIDATION.images)
        alone = _storage_alone()
    return {"seconds": seconds, "cpu_s": used, "azurite_cpu_s": theirs, "wakes": wakes, **alone}


def _upload(labels: Path, said: Callable[[bytes], str]) -> None:
    from services import wiring

    store = wiring.data_store()
    store.write(f"{LOOP}/loop.yaml", CONFIG)

    def put(number: int) -> None:
        image = jpeg(number)
        store.write(f"{LOOP}/images/{name_of(number)}", image, claim=said(image))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(VALIDATION.images)))
    store.write(LABELS, labels.read_bytes())


def _register() -> tuple[int, int]:
    from services import wiring

    for wakes in range(1, 50):
        wiring.controller().wake(LOOP)
        if version := wiring.states().read(LOOP).dataset:
            return version.images, wakes
    raise RuntimeError(wiring.states().read(LOOP).reasons)


def _storage_alone() -> dict[str, float]:
    """What listing once and reading every header takes, and nothing else, with as many threads as the catalogue has."""
    from services import wiring
    from services.catalogue.images import HEADER
    from services.catalogue.store import THREADS

    store = wiring.data_store()
    blobs, listing = _timed(lambda: [b for b in store.list(f"{LOOP}/") if b.name.endswith(".jpg")])

    def read() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            sum(pool.map(lambda b: len(store.read(b.name, offset=0, length=min(HEADER, b.size)).data), blobs))

    return {"listing_alone_s": listing, "headers_alone_s": _timed(read)[1]}


def events(folder: Path) -> dict[str, float]:
    """Upload events through the app's function, with the queue counted; `folder` is not needed."""
    from services import wiring
    from services.cloud.fakes import FakeQueue, fake_settings
    from services.wake import Waker

    (folder / "unused").touch()
    queue = FakeQueue()
    waker, settings = Waker(queue, now, 1), fake_settings()
    wiring.waker, wiring.settings = lambda: waker, lambda: settings  # type: ignore[assignment]
    function = _function("storage_events")
    given = list(_events(settings.data_container))
    _, seconds = _timed(lambda: [function(event) for event in given])
    return {"events": EVENTS, "seconds": seconds, "per_second": EVENTS / seconds, "queue_calls": len(queue.sent)}


def _function(name: str) -> Callable[[object], None]:
    from function_app import app

    found: Callable[[object], None] = next(
        f.get_user_function() for f in app.get_functions() if f.get_function_name() == name
    )
    return found


def _events(container: str) -> Iterator[object]:
    import azure.functions as func

    for number in range(EVENTS):
        name = f"{LOOP}/images/{name_of(number)}"
        yield func.EventGridEvent(
            id=str(number),
            data=json.loads(f'{{"api": "PutBlob", "url": "https://x.blob.core.windows.net/{container}/{name}"}}'),
            topic="/subscriptions/x",
            subject=f"/blobServices/default/containers/{container}/blobs/{name}",
            event_type="Microsoft.Storage.BlobCreated",
            event_time=now(),
            data_version="",
        )


def _check(found: float, expected: float) -> None:
    if found != expected:
        raise RuntimeError(f"{found} instead of {expected}")
