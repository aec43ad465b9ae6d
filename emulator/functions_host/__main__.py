"""`python -m emulator.functions_host --app DIR --port N --keys FILE`: one function app on loopback."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from emulator.functions_host import event_grid, http
from emulator.functions_host.bindings import Function, Invoker, index
from emulator.functions_host.queues import QueueListener, QueueOptions, seconds
from emulator.functions_host.timers import Timer
from emulator.lifetime import end_with_parent

DEFAULT_TIMEOUT = "00:30:00"


def build(app: Path, keys: dict[str, str], state: Path) -> Starlette:
    """The host of one app as an ASGI application.

    Raises:
        ValueError, KeyError, ImportError: the app cannot be indexed; the message says why.
    """
    host = json.loads((app / "host.json").read_text()) if (app / "host.json").exists() else {}
    functions = index(app)
    invoker = Invoker(seconds(str(host.get("functionTimeout", DEFAULT_TIMEOUT))))
    opened = http.Keys(keys)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        options = QueueOptions.read(host)
        listeners = [QueueListener(f, invoker, options) for f in functions if f.kind == "queueTrigger"]
        timers = [Timer(f, invoker, state) for f in functions if f.kind == "timerTrigger"]
        runs = [*(part.run(stopping) for part in listeners), *(part.run(stopping) for part in timers)]
        tasks = [asyncio.create_task(run) for run in runs]
        yield
        stopping.set()
        if tasks:
            await asyncio.wait(tasks, timeout=30)

    everything: list[BaseRoute] = [
        *http.routes(functions, invoker, opened, _prefix(host)),
        event_grid.route(functions, invoker, opened),
        *_admin(functions, opened),
    ]
    return Starlette(routes=everything, lifespan=running, exception_handlers={405: _not_found})


def _prefix(host: dict[str, Any]) -> str:
    return str(host.get("extensions", {}).get("http", {}).get("routePrefix", "api"))


async def _not_found(_: Request, __: Exception) -> Response:
    """The real host knows no 405: a method that no route takes is a route that is not there."""
    return Response(status_code=404)


def _admin(functions: list[Function], keys: http.Keys) -> list[BaseRoute]:
    async def status(_: Request) -> Response:
        return JSONResponse({"state": "Running", "processUptime": 0})

    async def listing(request: Request) -> Response:
        if not keys.open(request, ("master",)):
            return Response(status_code=401)
        return JSONResponse([{"name": f.name, "trigger": dict(f.trigger)} for f in functions])

    return [Route("/admin/host/status", status), Route("/admin/functions", listing)]


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m emulator.functions_host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", type=Path, required=True, help="JSON file of keys by name")
    parser.add_argument("--state", type=Path, default=None, help="folder that remembers timers")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    end_with_parent()
    state = arguments.state or arguments.keys.parent / "timers"
    application = build(arguments.app.resolve(), json.loads(arguments.keys.read_text()), state)
    uvicorn.run(application, host="127.0.0.1", port=arguments.port, log_level="warning", timeout_graceful_shutdown=10)


if __name__ == "__main__":
    main()
