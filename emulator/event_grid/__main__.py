"""`python -m emulator.event_grid --config FILE`: the relay as a process, with topics and its own pages over TLS."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.identity import Identity
from emulator.certificates import certificates
from emulator.event_grid.blob_source import Blobs, BlobSource
from emulator.event_grid.relay import Relay
from emulator.event_grid.settings import Chaos, Subscription
from emulator.event_grid.store import Store
from emulator.event_grid.topics import Topics
from emulator.lifetime import begin_service
from emulator.state_files import BrokenFile


class Pages:
    """What the relay answers over HTTP."""

    def __init__(self, relay: Relay, topics: Topics) -> None:
        """`topics` are what programs publish to."""
        self._relay, self._topics = relay, topics

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/topics/{topic}/api/events", self._topics.publish, methods=["POST"]),
            Route("/emulator/topics/{topic}/events", self._topics.published),
            Route("/emulator/health", self.health),
            Route("/emulator/subscriptions", self.subscriptions),
            Route("/emulator/deliveries", self.deliveries),
            Route("/emulator/chaos", self.chaos, methods=["GET", "PUT"]),
        ]

    async def health(self, _: Request) -> Response:
        """Whether every subscription is validated, and how much waits."""
        names = sorted(s.name for s in self._relay.subscriptions)
        ready = set(names) <= self._relay.validated
        return JSONResponse({"validated": ready, "subscriptions": names, "waiting": self._relay.store.waiting()})

    async def subscriptions(self, _: Request) -> Response:
        """Who is told of what; endpoints without their keys."""
        listed = [{**asdict(s), "endpoint": s.endpoint.partition("?")[0]} for s in self._relay.subscriptions]
        return JSONResponse(listed)

    async def deliveries(self, _: Request) -> Response:
        """What ended lately, newest first."""
        return JSONResponse(self._relay.store.deliveries())

    async def chaos(self, request: Request) -> Response:
        """See or change what goes wrong on purpose."""
        if request.method == "PUT":
            try:
                self._relay.set_chaos(Chaos.of(await request.json()))
            except (ValueError, TypeError) as error:
                return Response(str(error), 400)
        return JSONResponse(asdict(self._relay.chaos))


def build(config: dict[str, Any], authority: Path) -> Starlette:
    """The relay as an ASGI application; see the supervisor for the config's members; `authority` signs Azurite."""
    folder = Path(config["folder"])
    subscriptions = [
        Subscription(**{**s, "event_types": tuple(s.get("event_types", ())), "apis": tuple(s.get("apis", ()))})
        for s in config["subscriptions"]
    ]
    store = Store(folder / "event_grid.sqlite")
    relay = Relay(store, subscriptions, Chaos.read(config.get("chaos", "")), folder / "dead_letters")
    relay.retry_scale = float(config.get("retry_scale", 1))
    blobs = Blobs(config["blob"]["account_url"], config["blob"]["account_key"], str(authority))
    source = BlobSource(relay, Path(config["blob"]["log"]), blobs, config["blob"]["topic"])

    identity = Identity(config["identity"]) if config.get("identity") else None
    topics = Topics(relay, config["key"], identity)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(relay.run()), asyncio.create_task(source.run())]
        for task in tasks:
            task.add_done_callback(_die_with)
        yield
        for task in tasks:
            task.remove_done_callback(_die_with)
            task.cancel()
        await asyncio.wait(tasks)
        store.close()

    return Starlette(routes=Pages(relay, topics).routes(), lifespan=running)


def _die_with(task: asyncio.Task[None]) -> None:
    """A relay without its tasks would look healthy and deliver nothing: end, and be started again."""
    logging.getLogger("event_grid").critical("The relay ended", exc_info=task.exception())
    sys.exit(1)


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser(prog="python -m emulator.event_grid", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certs", type=Path, required=True)
    arguments = parser.parse_args()
    begin_service()
    found = certificates(arguments.certs)
    try:
        application = build(json.loads(arguments.config.read_text()), found.authority)
    except BrokenFile as error:
        sys.exit(str(error))
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=arguments.port,
        ssl_certfile=str(found.server),
        ssl_keyfile=str(found.key),
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
