"""Label Studio's ML backend protocol: what the live model of a loop finds, as suggestions for people who label.

Contract: HumanSignal/label-studio-ml-backend, `label_studio_ml/api.py`, and "Units of image annotations"
(per cent of the image as displayed). Nothing is trained here on demand: the loop trains by its thresholds.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, Forged, NotFound, TooLarge
from services.inbound.label_studio import image_of_task
from services.inbound.paths import below_images, image_file
from services.inbound.sources import Source, Sources
from services.inference.answer import Answer, Box
from services.inference.predict import Predictor
from services.inference.render import DRAWN_SCORE
from services.inference.wishes import Wishes
from services.settings import Settings
from services.state import LoopState, ModelRef
from services.threads import in_thread

_TAGS = {"RectangleLabels": ("rectanglelabels", "Label"), "Choices": ("choices", "Choice")}
MOST_SHOWN = 100
"""Suggestions for one image; only those certain enough to be drawn are made."""


@dataclass(frozen=True, slots=True)
class Control:
    """The part of a labelling configuration that takes suggestions."""

    kind: str
    from_name: str
    to_name: str
    classes: frozenset[str] = field(default=frozenset(), compare=False)
    """Those that it offers."""


class Suggestions:
    """Answers Label Studio for every source of its kind."""

    def __init__(
        self,
        data: BlobStore,
        sources: Sources,
        predictor: Predictor,
        fetch: Callable[[str], bytes],
        settings: Settings,
        read_state: Callable[[str], LoopState],
        clock: Callable[[], datetime],
    ) -> None:
        """`fetch` gets images from addresses, and from nowhere that it should not reach."""
        self._data, self._sources, self._predictor, self._read_state = data, sources, predictor, read_state
        self._clock = clock
        self._fetch, self._settings = fetch, settings

    def up(self, source_id: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Say that we are there, which is what `health`, and for us `webhook`, ask.

        Raises:
            Forged, NotFound: the password is not that of a source.
        """
        return {"status": "UP", "model_class": "Visionloop", "loop": self._source(source_id, headers).loop}

    def setup(self, source_id: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Take a project; nothing of it is kept, since each request says all it needs.

        Label Studio asks for suggestions where a task has none of the version that it is told here; with another one
        than suggestions have, it would ask at every look at a task, and keep them all.

        Raises:
            Forged, NotFound: the password is not that of a source.
        """
        loop = self._source(source_id, headers).loop
        champion = self._read_state(loop).champion
        return {"model_version": _version(champion.model) if champion else loop}

    async def predict(self, source_id: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Suggestions, one entry a task in their order; an empty one where a task's image cannot be had.

        Raises:
            Forged, NotFound: the password is not that of a source.
            BadRequest, TooLarge: the body is not what it should be.
            VisionloopError: the model does not answer.
        """
        limit = self._settings.max_request_bytes
        if len(body) > limit:
            raise TooLarge(f"The body is over VISIONLOOP_MAX_REQUEST_BYTES = {limit}", limit=limit)
        source = await in_thread(partial(self._source, source_id, headers))
        tasks, controls = await in_thread(partial(_asked, body, self._settings))
        results = [await self._suggest(source.loop, task, controls) for task in tasks]
        return {
            "results": results,
            "model_version": next((r["model_version"] for r in results if r["model_version"]), ""),
        }

    def _source(self, source_id: str, headers: Mapping[str, str]) -> Source:
        source = self._sources.get(source_id)
        if source.kind != "label_studio" or not _has_password(headers, source.signing(self._clock())):
            raise Forged("Basic authentication with the secret of a label_studio source as password is expected")
        return source

    async def _suggest(self, loop: str, task: Mapping[str, Any], controls: Sequence[Control]) -> dict[str, Any]:
        """Nothing for one image that cannot be had or read: the others of a request are to have theirs."""
        wishes = Wishes(DRAWN_SCORE, MOST_SHOWN, None, self._settings.predict_deadline_seconds)
        began = time.monotonic()
        try:
            image = await in_thread(partial(self._image, loop, task))
            [found] = (await self._predictor.infer(loop, [image], wishes, began)).answers()
        except BadRequest:
            return {"result": [], "score": 0.0, "model_version": ""}
        score = min((each.score for each in found.predictions), default=0.0)
        return {"result": [*results(found, controls)], "score": score, "model_version": _version(found.model)}

    def _image(self, loop: str, task: Mapping[str, Any]) -> bytes:
        """The loop's own image where it has it, else what is at the task's address."""
        name = f"{loop}/{image_file(below_images(image_of_task(task)))}"
        with suppress(NotFound):
            return self._data.read(name, length=self._settings.max_image_bytes + 1).data
        texts = (value for value in task["data"].values() if isinstance(value, str))
        return self._fetch(next((text for text in texts if text.startswith(("http://", "https://"))), ""))


def _version(model: ModelRef) -> str:
    return f"{model.name}:{model.version}"


def results(found: Answer, controls: Sequence[Control]) -> Iterator[dict[str, Any]]:
    """Predictions as Label Studio shows them: boxes, or the best class of an image; pure."""
    drawn = [each for each in found.predictions if each.normalized_box is not None]
    for number, each in enumerate(drawn or found.predictions[:1]):
        control = _control(controls, "rectanglelabels" if drawn else "choices", each.label)
        if control is not None:
            box = each.normalized_box
            value = {"choices": [each.label]} if box is None else _value(each.label, box)
            named = {} if box is None else {"id": f"vl{number}"}
            yield {**_frame(found, control), **named, "value": value, "score": each.score}


def _control(controls: Sequence[Control], kind: str, label: str) -> Control | None:
    """The one that offers a class, or else the first of its kind."""
    fitting = [control for control in controls if control.kind == kind]
    return next((control for control in fitting if label in control.classes), fitting[0] if fitting else None)


def _frame(found: Answer, control: Control) -> dict[str, Any]:
    return {
        "from_name": control.from_name,
        "to_name": control.to_name,
        "type": control.kind,
        "original_width": found.image.width,
        "original_height": found.image.height,
        "image_rotation": 0,
    }


def _value(label: str, box: Box) -> dict[str, Any]:
    left, top, right, bottom = (100 * min(1.0, max(0.0, n)) for n in (box.x1, box.y1, box.x2, box.y2))
    sides = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return {**{name: round(side, 4) for name, side in sides.items()}, "rotation": 0, "rectanglelabels": [label]}


def _has_password(headers: Mapping[str, str], secrets: Sequence[str]) -> bool:
    kind, _, said = headers.get("authorization", "").partition(" ")
    try:
        password = base64.b64decode(said, validate=True).partition(b":")[2] if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return False
    return any([hmac.compare_digest(password, secret.encode()) for secret in secrets])  # noqa: C419  # all are compared


def _asked(body: bytes, settings: Settings) -> tuple[list[dict[str, Any]], list[Control]]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body must be JSON, as Label Studio sends it") from None
    tasks = asked.get("tasks") if isinstance(asked, dict) else None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise BadRequest("tasks: a list of objects is expected")
    limit = settings.max_request_images
    if len(tasks) > limit:
        raise TooLarge(f"{len(tasks)} tasks are over VISIONLOOP_MAX_REQUEST_IMAGES = {limit}", limit=limit)
    return tasks, controls_of(asked.get("label_config"))


def controls_of(configuration: Any) -> list[Control]:
    """What a labelling configuration has for boxes in images and for classes of images, boxes first; pure.

    Raises:
        BadRequest: it is no XML, or has neither.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(configuration if isinstance(configuration, str) else "")
    except (ParseError, DefusedXmlException, ValueError, RecursionError):
        raise BadRequest("label_config: it cannot be read as a labelling configuration") from None
    images = {image.get("name") for image in root.iter("Image")}
    found = [
        Control(kind, tag.get("name", ""), tag.get("toName", ""), frozenset(c.get("value", "") for c in tag.iter(of)))
        for name, (kind, of) in _TAGS.items()
        for tag in root.iter(name)
        if tag.get("name") and tag.get("toName") and tag.get("perRegion") != "true"
    ]
    about_images = [control for control in found if control.to_name in images] if images else found
    if not about_images:
        raise BadRequest("label_config: it has no RectangleLabels and no Choices of an image to show suggestions in")
    return about_images
