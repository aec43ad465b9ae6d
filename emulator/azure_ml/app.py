"""Puts the emulator together."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emulator.azure_ml import faults as faults_module
from emulator.azure_ml import sizes
from emulator.azure_ml.arm import Arm
from emulator.azure_ml.config import PROVIDER, Config
from emulator.azure_ml.endpoint_pages import EndpointPages
from emulator.azure_ml.endpoints import Endpoints
from emulator.azure_ml.errors import AzureError, check_api_version
from emulator.azure_ml.faults import FaultMiddleware, Faults
from emulator.azure_ml.identity import Identity
from emulator.azure_ml.jobs import Jobs
from emulator.azure_ml.mlflow import Mlflow
from emulator.azure_ml.models import Models
from emulator.azure_ml.publisher import publish
from emulator.azure_ml.resources import Resources
from emulator.azure_ml.runner import Runner
from emulator.azure_ml.runs import Runs
from emulator.azure_ml.scoring import Scoring
from emulator.azure_ml.store import Store
from emulator.azure_ml.tables import Tables
from emulator.state_files import DISK_FULL, is_disk_full

AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net", "https://ml.azure.com")
log = logging.getLogger("azure_ml")


class _Asset(Convertor[str]):
    regex = "data|models|codes|environments"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("asset", _Asset())


class Emulator:
    """All parts of one workspace."""

    def __init__(self, config: Config) -> None:
        """Nothing runs before the application's lifespan begins."""
        self.config = config
        self.store = Store(config.folder / "azure_ml.sqlite")
        self.identity, self.faults = Identity(config.identity_header), Faults()
        self.runs, self.tables = Runs(config, self.store), Tables(config, self.store)
        self.models = Models(config, self.store)
        self.resources = Resources(config, self.store)
        self.runner = Runner(config, self.runs, self.tables, self.faults)
        self.endpoints = Endpoints(config, self.store, self.models, self.faults)
        self.scoring = Scoring(self.endpoints, self.store, self.identity)
        self.arm = Arm(self.resources, self.models, self.runs)
        for datastore in config.datastores:
            self.arm.add_datastore(datastore)

    def application(self) -> Starlette:
        """The emulator as an ASGI application."""
        jobs = Jobs(self.resources, self.runs, self.runner, self.tables)
        audiences = (*AUDIENCES, self.config.base_url)
        mlflow = Mlflow(self.config, self.store, self.runs)
        endpoints = EndpointPages(self.resources, self.endpoints, self.identity)
        managed = (*self.arm.routes(), *endpoints.routes(), *self._operation_routes())
        pages = (*managed, *jobs.routes(), *mlflow.routes(), *sizes.routes(self.config))
        authorised = [_authorised(self.identity, audiences, route) for route in pages]
        middleware = [Middleware(FaultMiddleware, faults=self.faults)]
        if self.config.capture:
            middleware.insert(0, Middleware(Capture, file=Path(self.config.capture)))
        return Starlette(
            routes=[*self._open_routes(), *authorised],
            lifespan=self._running,
            middleware=middleware,
            exception_handlers={AzureError: _azure_error, 404: _unknown, 405: _unknown, Exception: _broken},
        )

    @asynccontextmanager
    async def _running(self, _: Starlette) -> AsyncIterator[None]:
        self.runner.start()
        self.endpoints.start()
        publishing = asyncio.create_task(publish(self.config, self.store, self.faults))
        yield
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        await asyncio.to_thread(self.runner.stop)
        self.endpoints.stop()
        await self.scoring.close()
        self.store.close()

    def _open_routes(self) -> Sequence[Route]:
        return [
            Route("/metadata/endpoints", self.metadata),
            Route("/msi/token", self.token),
            Route("/discovery", self.discovery),
            Route("/online/{name}/score", self.scoring.score, methods=["POST"]),
            Route("/emulator/health", self.health),
            Route("/emulator/overview", self.overview),
            Route("/emulator/jobs/{name}/logs", self.logs),
            Route("/emulator/faults", self.fault_page, methods=["GET", "POST", "DELETE"]),
        ]

    def _operation_routes(self) -> Sequence[Route]:
        base = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{location}}"
        operations = self.resources.operations
        return [
            Route(f"{base}/mfeOperationsStatus/{{number}}", operations.status_page, methods=["GET"]),
            Route(f"{base}/mfeOperationResults/{{number}}", operations.result_page, methods=["GET"]),
        ]

    async def metadata(self, _: Request) -> Response:
        """Azure Resource Manager's description of its cloud, by which the SDK learns this one's addresses."""
        cloud = {
            "name": "VisionloopLocal",
            "portal": "https://portal.azure.com",
            "authentication": {
                "loginEndpoint": "https://login.microsoftonline.com/",
                "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "resourceManager": self.config.base_url,
            "suffixes": {"storage": "core.windows.net"},
        }
        return JSONResponse([cloud])

    async def token(self, request: Request) -> Response:
        """The managed identity's endpoint."""
        header = request.headers.get("x-identity-header")
        return JSONResponse(self.identity.issue(request.query_params.get("resource", ""), header))

    async def discovery(self, _: Request) -> Response:
        """Where the workspace's other services are."""
        names = ("api", "history", "experimentation", "mlflow", "registry", "studio")
        return JSONResponse(dict.fromkeys(names, self.config.base_url))

    async def health(self, _: Request) -> Response:
        """Whether this process works."""
        return JSONResponse({"status": "ok"})

    async def overview(self, _: Request) -> Response:
        """Jobs with their trials, epochs and metrics, as a person watches them."""
        records = dict(self.store.list("jobs"))
        jobs = []
        for name, body in records.items():
            if body["internal"]["parent"] is None:
                trials = [k for k, b in records.items() if b["internal"]["parent"] == f"{name}_HD"]
                shown = {
                    "trials": [_shown(k, records[k]) for k in trials],
                    "features": body["internal"].get("features"),
                }
                jobs.append({**_shown(name, body), **shown})
        return JSONResponse({"jobs": jobs})

    async def logs(self, request: Request) -> Response:
        """What the trainer of a job wrote."""
        name = request.path_params["name"]
        if self.runs.get(name) is None:
            return Response(status_code=404)
        files = [self.runner.folder(name) / log_file for log_file in ("trainer.log", "user.log")]
        text = "".join(file.read_text(errors="replace") for file in files if file.exists())
        return Response(text[-100_000:], media_type="text/plain")

    async def fault_page(self, request: Request) -> Response:
        """See, add and remove faults."""
        return await faults_module.page(request, self.faults)


def _shown(name: str, body: dict[str, Any]) -> dict[str, Any]:
    internal = body["internal"]
    latest = {key: series[-1][1] for key, series in internal["metrics"].items()}
    return {
        "name": name,
        "status": body["properties"]["status"],
        "error": internal["error"],
        "parameters": internal["params"],
        "epochs": internal.get("epochs"),
        "metrics": {**latest, **(internal.get("final") or {})},
        "history": {key: [value for _, value, _ in series] for key, series in internal["metrics"].items()},
        "best": internal["tags"].get("automl_best_child_run_id"),
        "started": internal["started"],
        "ended": internal["ended"],
    }


def _authorised(identity: Identity, audiences: tuple[str, ...], route: Route) -> Route:
    page = route.endpoint

    async def checked(request: Request) -> Response:
        identity.check(request.headers.get("authorization"), audiences)
        if request.url.path.startswith("/subscriptions/"):
            check_api_version(request.query_params.get("api-version"))
        answer: Response = await page(request)
        return answer

    return Route(route.path, checked, methods=sorted(route.methods or ()))


async def _azure_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, AzureError)  # noqa: S101  # registered for nothing else
    return error.response()


async def _unknown(request: Request, _: Exception) -> Response:
    message = f"The local cloud has no {request.method} {request.url.path}"
    log.warning("%s", message)
    return AzureError(404, "NotFound", message).response()


async def _broken(_: Request, error: Exception) -> Response:
    said = DISK_FULL if is_disk_full(error) else "The local cloud failed; see its log"
    return AzureError(500, "InternalServerError", said).response()


class Capture:
    """Writes each management request to a file, to be held against Microsoft's published schemas."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        """`file` is appended to, a JSON object a line."""
        self._app, self._file = app, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything through."""
        if scope["type"] != "http" or PROVIDER not in scope["path"]:
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        status = 0

        async def reading() -> Message:
            message = await receive()
            chunks.append(message.get("body", b""))
            return message

        async def writing(message: Message) -> None:
            nonlocal status
            status = int(message.get("status", status))
            await send(message)

        await self._app(scope, reading, writing)
        self._write(scope, b"".join(chunks), status)

    def _write(self, scope: Scope, body: bytes, status: int) -> None:
        query = dict(part.partition("=")[::2] for part in scope["query_string"].decode().split("&"))
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = None
        seen = {"method": scope["method"], "path": scope["path"], "api_version": query.get("api-version")}
        with self._file.open("a") as out:
            out.write(json.dumps({**seen, "body": parsed, "status": status}) + "\n")
