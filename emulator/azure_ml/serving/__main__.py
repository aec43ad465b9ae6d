"""`python -m emulator.azure_ml.serving --model DIR --port N --ready-file PATH`: one slot on loopback.

Contract: https://learn.microsoft.com/azure/machine-learning/how-to-auto-train-image-models#test-the-deployment
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pybase64
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.serving.model import Model
from emulator.azure_ml.serving.pictures import BadImage
from emulator.lifetime import end_with_parent


def images_of(body: bytes) -> list[bytes]:
    """The images of a scoring request.

    Raises:
        BadImage: the body is not `{"input_data": {"columns": ["image"], "data": [base64, …]}}`.
    """
    try:
        found: Any = json.loads(body)["input_data"]
        texts = [row[0] if isinstance(row, list) else row for row in found["data"]]
        if found["columns"] != ["image"] or not texts:
            raise BadImage("input_data has the one column image, and at least one row")
        return [pybase64.b64decode(text, validate=True) for text in texts]
    except (ValueError, KeyError, TypeError, IndexError):
        raise BadImage('The body must be {"input_data": {"columns": ["image"], "data": [base64]}}') from None


def application(model: Model, ready: Path) -> Starlette:
    """The slot; `ready` is written once it listens."""

    async def live(_: Request) -> Response:
        return Response("Healthy", media_type="text/plain")

    async def score(request: Request) -> Response:
        body = await request.body()
        try:
            answers = await asyncio.to_thread(lambda: model.predict(images_of(body)))
        except BadImage as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(answers)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().call_later(0.05, ready.write_text, "ready")
        yield

    routes = [Route("/", live), Route("/score", score, methods=["POST"])]
    return Starlette(routes=routes, lifespan=running)


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m emulator.azure_ml.serving", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of model.onnx and manifest.json")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-file", type=Path, required=True, help="written when the slot answers")
    arguments = parser.parse_args()
    end_with_parent()
    model = Model(arguments.model, threads=max(1, (os.cpu_count() or 1) // 2))
    app = application(model, arguments.ready_file)
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
