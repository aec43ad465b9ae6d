"""The Open Inference Protocol v2: a loop is a model, its registered versions are the model's versions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from services import __version__
from services.errors import NotFound, VisionloopError
from services.inference.body import takes_long
from services.inference.champion import Champions
from services.inference.predict import Predictor, Reply, Request, told
from services.inference.tensors import metadata, read_request, response
from services.inference.wishes import read_wishes
from services.settings import Settings
from services.threads import in_thread


def server() -> dict[str, Any]:
    """The server metadata response."""
    return {"name": "visionloop", "version": __version__, "extensions": []}


def as_protocol(error: VisionloopError) -> VisionloopError:
    """The error with the member `error` that the protocol asks for, beside those of problem details."""
    error.extra["error"] = error.detail
    return error


class OpenInference:
    """Answers in the protocol's shapes."""

    def __init__(self, champions: Champions, predictor: Predictor, settings: Settings) -> None:
        """`predictor` asks the slots."""
        self._champions, self._predictor, self._settings = champions, predictor, settings

    async def model(self, loop: str, version: str = "") -> dict[str, Any]:
        """Metadata of the live model, or of a version.

        Raises:
            NotFound, NoChampion: there is none that answers.
        """
        chosen = await self._champions.explicit(loop, "", version)
        known = await self._champions.answering(loop)
        return metadata(loop, chosen.task, [one.model.version for one in known])

    async def ready(self, loop: str, version: str = "") -> dict[str, Any]:
        """That a model answers.

        Raises:
            NotFound, NoChampion: there is none that answers.
        """
        await self._champions.explicit(loop, "", version)
        return {"name": loop, "ready": True}

    async def infer(self, request: Request, version: str = "") -> Reply:
        """The inference response; query and headers as for our own route.

        Raises:
            VisionloopError: with the HTTP status of what is wrong.
        """
        began = time.monotonic()
        await self._champions.champion(request.loop)
        read = partial(read_request, request.body, request.headers, self._settings)
        asked = await in_thread(read) if takes_long(request.body, "application/json") else read()
        query: Mapping[str, str] = {**request.query, **asked.wishes, "render": "false"}
        if version:
            query = {**query, "version": version}
        wishes = read_wishes(query, request.headers, self._settings.predict_deadline_seconds)
        found = await self._predictor.infer(request.loop, asked.images, wishes, began)
        content = json.dumps(response(request.loop, asked, found.answers())).encode()
        return Reply(content, "application/json", told(found.model, found.timing, wishes))


def probe(name: str) -> dict[str, Any]:
    """`live` says that the app answers, `ready` that its storage does too.

    Raises:
        NotFound: there is no such probe.
        UpstreamBusy: storage does not answer.
    """
    if name not in ("live", "ready"):
        raise NotFound("There is health/live and health/ready")
    from services.status.health import health

    health(deep=name == "ready")
    return {name: True, "live": True}
