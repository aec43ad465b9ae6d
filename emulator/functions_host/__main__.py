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
import uvicorn.protocols.http.httptools_impl
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router

from emulator.functions_host import event_grid, http, workers
from emulator.functions_host.bindings import Function, Invoker, index
from emulator.functions_host.homepage import home
from emulator.functions_host.queues import QueueListener, QueueOptions, seconds
from emulator.functions_host.timers import Timer
from emulator.functions_host.whole import WholeBodies
from emulator.lifetime import end_with_parent

DEFAULT_TIMEOUT = "00:30:00"
READ_AHEAD_BYTES = 1 << 20
"""Of a body, before uvicorn stops reading until it is taken: functions get bodies whole, so 64 KiB only cost turns."""


def build(app: Path, keys: dict[str, str], state: Path, *, http_only: bool = False) -> Router:
    """The host of one app as an ASGI application; with `http_only`, without queues and timers.

    Raises:
        ValueError, KeyError, ImportError: the app cannot be indexed; the message says why.
    """
    host = json.loads((app / "host.json").read_text()) if (app / "host.json").exists() else {}
    functions = index(app)
    invoker = Invoker(seconds(str(host.get("functionTimeout", DEFAULT_TIMEOUT))))
    opened = http.Keys(keys)

    @asynccontextmanager
    async def running(_: Router) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        options = QueueOptions.read(host)
        own = [] if http_only else functions
        listeners = [QueueListener(f, invoker, options) for f in own if f.kind == "queueTrigger"]
        timers = [Timer(f, invoker, state) for f in own if f.kind == "timerTrigger"]
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
        Route("/", home(functions, _prefix(host))),
    ]
    return http.HostRouter(everything, running)


def _prefix(host: dict[str, Any]) -> str:
    return str(host.get("extensions", {}).get("http", {}).get("routePrefix", "api"))


def _admin(functions: list[Function], keys: http.Keys) -> list[BaseRoute]:
    async def status(_: Request) -> Response:
        return JSONResponse({"state": "Running", "processUptime": 0})

    async def listing(request: Request) -> Response:
        if not keys.open(request.headers, request.query_params, ("master",)):
            return Response(status_code=401)
        return JSONResponse([{"name": f.name, "trigger": dict(f.trigger)} for f in functions])

    return [
        Route("/admin/host/status", status),
        Route("/admin/functions", listing),
    ]


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m emulator.functions_host", description=__doc__)
    parser.add_argument("--app", type=Path, required=True, help="folder of function_app.py and host.json")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", type=Path, required=True, help="JSON file of keys by name")
    parser.add_argument("--state", type=Path, default=None, help="folder that remembers timers")
    parser.add_argument(workers.FURTHER, action="store_true", help="beside a first process on this port: HTTP only")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    end_with_parent()
    uvicorn.protocols.http.httptools_impl.HIGH_WATER_LIMIT = READ_AHEAD_BYTES  # type: ignore[attr-defined]
    state = arguments.state or arguments.keys.parent / "timers"
    try:
        count = workers.wanted()
    except ValueError as error:
        parser.error(str(error))
    keys = json.loads(arguments.keys.read_text())
    with workers.further(0 if arguments.further else count - 1):
        application = build(arguments.app.resolve(), keys, state, http_only=arguments.further)
        config = uvicorn.Config(
            application,
            http=WholeBodies,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
        uvicorn.Server(config).run([workers.bound(arguments.port, shared=count > 1)])


if __name__ == "__main__":
    main()
