"""One prediction: image in, champion's slot, answer out."""

from __future__ import annotations

import time
from dataclasses import dataclass

from services.cloud.ports import Scorer
from services.errors import BadRequest
from services.inference.answer import Answer, answer, predictions
from services.inference.champion import Champions
from services.inference.image import picture
from services.inference.render import DRAWN_SCORE, render
from services.settings import Settings


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over HTTP."""

    content: bytes
    content_type: str


class Predictor:
    """Answers for every loop."""

    def __init__(self, champions: Champions, scorer: Scorer, settings: Settings) -> None:
        """All can be replaced."""
        self._champions, self._scorer, self._settings = champions, scorer, settings

    def predict(self, loop: str, body: bytes, content_type: str, *, threshold: float = 0.0) -> Answer:
        """Ask the live model of a loop about an image.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        return self._predict(loop, body, content_type, threshold)[0]

    def reply(self, loop: str, body: bytes, content_type: str, query: dict[str, str]) -> Reply:
        """The same for a request: `threshold` as a number from 0 to 1, `render=true` for the picture.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        drawn = query.get("render", "").lower() in {"1", "true", "yes"}
        threshold = _threshold(query.get("threshold"), DRAWN_SCORE if drawn else 0.0)
        found, data = self._predict(loop, body, content_type, threshold)
        if drawn:
            return Reply(render(data, found.predictions), "image/png")
        return Reply(found.model_dump_json(exclude_none=True).encode(), "application/json")

    def _predict(self, loop: str, body: bytes, content_type: str, threshold: float) -> tuple[Answer, bytes]:
        started = time.perf_counter()
        champion = self._champions.champion(loop)
        size = picture(body, content_type, self._settings)
        sent = time.perf_counter()
        deadline = self._settings.predict_deadline_seconds
        [scored] = self._scorer.score(champion.scoring_uri, champion.slot, [size.data], deadline=deadline)
        ended = time.perf_counter()
        found = predictions(scored, champion.task, size, threshold)
        timing = {"proxy": 1000 * (sent - started + time.perf_counter() - ended), "model": 1000 * (ended - sent)}
        return answer(loop, champion, size, found, timing), size.data


def _threshold(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text else otherwise
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise BadRequest("threshold must be a number from 0 to 1")
    return value
