"""One prediction: image in, champion's slot, answer out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from services.cloud.ports import Scorer
from services.errors import BadRequest, UpstreamRefused
from services.inference.answer import Answer, answer, predictions
from services.inference.body import picture
from services.inference.champion import Champions
from services.inference.record import Recorder
from services.inference.render import DRAWN_SCORE, Format, decoded, render
from services.inference.routes import Routes
from services.settings import Settings
from services.state import Champion


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over HTTP."""

    content: bytes
    content_type: str


class Predictor:
    """Answers for every loop."""

    def __init__(
        self, champions: Champions, scorer: Scorer, settings: Settings, recorder: Recorder | None = None
    ) -> None:
        """All can be replaced; without a recorder nothing is counted."""
        self._champions, self._scorer, self._settings = champions, scorer, settings
        self._routes = Routes(champions, recorder)

    def predict(self, loop: str, body: bytes, content_type: str, *, threshold: float = 0.0) -> Answer:
        """Ask the live model of a loop about an image.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        return self._predict(loop, body, content_type, threshold)[0]

    def reply(self, loop: str, body: bytes, content_type: str, query: dict[str, str]) -> Reply:
        """The same for a request: `threshold` as a number from 0 to 1, `render` for the picture.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        drawn = _drawn(query.get("render", "").lower())
        threshold = _threshold(query.get("threshold"), DRAWN_SCORE if drawn else 0.0)
        found, data = self._predict(loop, body, content_type, threshold)
        if drawn:
            return Reply(render(data, found.predictions, drawn), f"image/{drawn.lower()}")
        return Reply(found.model_dump_json(exclude_none=True).encode(), "application/json")

    def _predict(self, loop: str, body: bytes, content_type: str, threshold: float) -> tuple[Answer, bytes]:
        started = time.perf_counter()
        self._champions.champion(loop)  # a loop without a model says so before it looks at images
        image = picture(body, content_type, self._settings)
        sent = time.perf_counter()
        champion, scored = self._routes.ask(loop, lambda model: self._score(model, image.data))
        ended = time.perf_counter()
        found = predictions(scored, champion.task, image, threshold)
        timing = {"proxy": 1000 * (sent - started + time.perf_counter() - ended), "model": 1000 * (ended - sent)}
        return answer(loop, champion, image, found, timing), image.data

    def _score(self, champion: Champion, image: bytes) -> Mapping[str, object]:
        deadline = self._settings.predict_deadline_seconds
        try:
            [scored] = self._scorer.score(champion.scoring_uri, champion.slot, [image], deadline=deadline)
        except UpstreamRefused:
            decoded(image)  # where the image is to blame, the caller is told so
            raise
        return scored


def _drawn(text: str) -> Format | None:
    formats: dict[str, Format | None] = {"": None, "false": None, "true": "PNG", "png": "PNG", "jpeg": "JPEG"}
    if text not in formats:
        raise BadRequest("render must be true, false, png or jpeg")
    return formats[text]


def _threshold(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text else otherwise
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise BadRequest("threshold must be a number from 0 to 1")
    return value
