"""Keeps images that the model was unsure about, for people to label: off unless loop.yaml asks for it.

The image goes below `<loop>/images/captured/<day>/`, without waking the loop; what was predicted goes to
`suggestions/<loop>/captured/<day>/` in the container that only we write, where nothing takes it for a label. A thread
of its own does the writing, and drops what it cannot keep up with: no answer waits for it, or fails by it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import queue
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic_core import to_jsonable_python

from services.catalogue.claims import claim_of_bytes
from services.cloud.ports.storage import BlobStore
from services.decisions.capture import doubt
from services.errors import ChangedMeanwhile, VisionloopError
from services.inference.answer import Prediction
from services.inference.image import Picture
from services.loop_config import Capture
from services.names import CAPTURED
from services.state import Champion

MOST_WAITING = 8
_ENDINGS = {b"\x89PN": "png", b"RIF": "webp", b"BM": "bmp", b"II*": "tiff", b"MM\0": "tiff"}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unsure:
    """An image that is to be kept, and why."""

    loop: str
    policy: Capture
    model: Champion
    picture: Picture
    predictions: Sequence[Prediction]
    reason: str


class Capturer:
    """Takes what is offered, as far as the loop's policy goes."""

    def __init__(
        self,
        stores: Callable[[], tuple[BlobStore, BlobStore]],
        clock: Callable[[], datetime],
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`stores` gives the data and the system container, and is asked when something is written first."""
        self._stores, self._clock, self._dice = stores, clock, dice
        self._waiting: queue.Queue[Unsure] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def offer(
        self, loop: str, policy: Capture, model: Champion, picture: Picture, predictions: Sequence[Prediction]
    ) -> bool:
        """Whether an answer's image will be written, if the caps allow it; takes no time."""
        if policy.share <= 0 or self._dice() >= policy.share:
            return False
        reason = doubt(policy, model.task, [(one.label, one.score) for one in predictions])
        if not reason:
            return False
        try:
            self._waiting.put_nowait(Unsure(loop, policy, model, picture, predictions, reason))
        except queue.Full:
            return False
        self._start()
        return True

    def drain(self) -> None:
        """Wait until all that was offered is dealt with."""
        self._waiting.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            one = self._waiting.get()
            try:
                self._keep(one)
            except VisionloopError as error:
                log.warning("An image of %s could not be kept: %s", one.loop, error.detail)
            except Exception:
                log.exception("An image of %s could not be kept", one.loop)
            finally:
                self._waiting.task_done()

    def _keep(self, one: Unsure) -> None:
        now, (data, system) = self._clock(), self._stores()
        folder = f"suggestions/{one.loop}/captured/{now:%Y-%m-%d}/"
        today = [blob.name.removeprefix(folder) for blob in system.list(folder)]
        content = hashlib.sha256(one.picture.data).hexdigest()[:20]
        if not _has_room(one.policy, today, f"{now:%H}-") or any(content in name for name in today):
            return
        image = f"{CAPTURED}{now:%Y-%m-%d}/{content}.{_ending(one.picture.data)}"
        suggestion = json.dumps(_suggestion(one, image, now)).encode()
        system.write(f"{folder}{now:%H}-{content}.json", suggestion)
        try:
            data.write(f"{one.loop}/{image}", one.picture.data, create=True, claim=claim_of_bytes(one.picture.data))
        except ChangedMeanwhile:
            log.info("%s is there already", image)


def _has_room(policy: Capture, today: Sequence[str], hour: str) -> bool:
    return len(today) < policy.per_day and sum(name.startswith(hour) for name in today) < policy.per_hour


def _suggestion(one: Unsure, image: str, now: datetime) -> dict[str, object]:
    return {
        "image": image,
        "reason": one.reason,
        "time": now.isoformat(),
        "model": one.model.model.model_dump(),
        "task": one.model.task,
        "width": one.picture.width,
        "height": one.picture.height,
        "predictions": to_jsonable_python(one.predictions, exclude_none=True),
    }


def _ending(data: bytes) -> str:
    return next((ending for begin, ending in _ENDINGS.items() if data.startswith(begin)), "jpg")
