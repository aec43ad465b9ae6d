"""What all resources share: ids, envelopes, names, long-running operations, and the refusal of changed versions."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.azure_ml.config import PROVIDER, Config
from emulator.azure_ml.errors import conflict, not_found, user_error
from emulator.azure_ml.shapes import Shape, check_shape
from emulator.azure_ml.store import Body, Store

ASSET_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
POLL_MILLISECONDS = "20"
"""Without it the SDK looks again only after half a minute."""


def now_text() -> str:
    """The time as Azure writes it."""
    return datetime.now(UTC).isoformat()


class Resources:
    """Envelopes and operations of one workspace."""

    def __init__(self, config: Config, store: Store) -> None:
        """Resources are kept in `store`."""
        self.config, self.store = config, store

    def envelope(self, path: str, body: Body) -> Body:
        """A stored body as Azure Resource Manager shows it; `path` is below the workspace, as `data/x/versions/1`."""
        parts = path.split("/")
        kind = f"{PROVIDER}/workspaces/{'/'.join(parts[0::2])}"
        created = body.get("created", now_text())
        system = {"createdAt": created, "createdBy": "local", "createdByType": "User", "lastModifiedAt": created}
        shown = {k: v for k, v in body.items() if k not in {"created", "internal"}}
        return {"id": f"{self.config.scope}/{path}", "name": parts[-1], "type": kind, "systemData": system, **shown}

    def show(self, kind: str, key: str) -> Body:
        """One resource.

        Raises:
            AzureError: 404.
        """
        body = self.store.get(kind, key)
        if body is None:
            raise not_found(f"{kind} {key}")
        return self.envelope(f"{kind}/{key}", body)

    def listing(self, kind: str, prefix: str = "") -> Response:
        """All resources of a kind."""
        return JSONResponse({"value": [self.envelope(f"{kind}/{k}", b) for k, b in self.store.list(kind, prefix)]})

    def begun(self, kind: str, key: str, status: int = 201) -> Response:
        """Answer a change that goes on: the resource, and where to look how far it is."""
        headers = self.operation_headers(kind, key)
        body = self.store.get(kind, key)
        return JSONResponse(None if body is None else self.envelope(f"{kind}/{key}", body), status, headers)

    def operation_headers(self, kind: str, key: str, answer: str = "Azure-AsyncOperation") -> dict[str, str]:
        """Remember an operation and say where it is looked at."""
        number = str(uuid.uuid4())
        self.store.put("operations", number, {"kind": kind, "key": key})
        page = "mfeOperationsStatus" if answer == "Azure-AsyncOperation" else "mfeOperationResults"
        where = f"{self.config.operations}/{page}/{number}?api-version=2023-04-01"
        return {answer: where, "x-ms-retry-after-ms": POLL_MILLISECONDS, "x-ms-async-operation-timeout": "PT1H"}

    def operation(self, number: str) -> tuple[str, Body]:
        """An operation's status (InProgress, Succeeded, Failed) and its error.

        Raises:
            AzureError: 404.
        """
        found = self.store.get("operations", number)
        if found is None:
            raise not_found(f"Operation {number}")
        body = self.store.get(found["kind"], found["key"])
        if body is None:
            return "Succeeded", {}
        properties = body["properties"]
        state = str(properties.get("provisioningState") or properties.get("status") or "Succeeded")
        status = {"Succeeded": "Succeeded", "Failed": "Failed", "Canceled": "Succeeded"}.get(state, "InProgress")
        return status, body.get("internal", {}).get("error", {}) if status == "Failed" else {}

    async def put_version(
        self, kind: str, request: Request, fixed: tuple[str, ...], defaults: Body | None = None
    ) -> Response:
        """Create a version of a named asset, or repeat its creation; what is in `fixed` never changes.

        Raises:
            AzureError: 400 for a wrong name, 409 where a fixed property differs.
        """
        name, version = request.path_params["name"], request.path_params["version"]
        for part in (name, version):
            check_name(part, ASSET_NAME)
        body, key = await read_body(request), f"{name}/versions/{version}"
        body["properties"] = {**(defaults or {}), **body["properties"]}
        old = self.store.get(kind, key)
        if old is not None and any(
            _plain(old["properties"].get(f)) != _plain(body["properties"].get(f)) for f in fixed
        ):
            raise conflict(f"A {kind} asset with the name {name} and version {version} exists and cannot be changed")
        created = old["created"] if old else now_text()
        self.store.put(kind, key, {**body, "created": created})
        if self.store.get(kind, name) is None:
            self.store.put(kind, name, {"properties": {}, "created": created})
        return JSONResponse(self.show(kind, key), 200 if old else 201)

    def container(self, kind: str, name: str) -> Body:
        """The container of a named asset's versions.

        Raises:
            AzureError: 404.
        """
        versions = self.versions(kind, name)
        if not versions:
            raise not_found(f"{kind} {name}")
        latest = versions[-1][0].rpartition("/")[2]
        following = str(int(latest) + 1) if latest.isdigit() else "1"
        properties: Body = {"isArchived": False, "latestVersion": latest, "nextVersion": following, "tags": {}}
        if kind == "data":
            properties["dataType"] = versions[-1][1]["properties"].get("dataType")
        return self.envelope(f"{kind}/{name}", {"properties": properties})

    def versions(self, kind: str, name: str) -> list[tuple[str, Body]]:
        """Versions of a named asset, oldest first."""
        return self.store.list(kind, f"{name}/versions/")


def _plain(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


def check_name(name: str, rule: re.Pattern[str]) -> None:
    """Refuse a wrong name.

    Raises:
        AzureError: 400, with the rule.
    """
    if not rule.fullmatch(name):
        raise user_error(f"The name {name[:100]!r} is not valid: it must match {rule.pattern}")


async def read_object(request: Request) -> Body:
    """The JSON object that a request carries.

    Raises:
        AzureError: 400 where it carries none.
    """
    try:
        found: Any = from_json(await request.body(), allow_inf_nan=False)  # refuses depth, where json would recurse
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise user_error("The request content was invalid and could not be deserialized")
    return found


async def read_body(request: Request, shape: type[Shape] = Shape) -> Body:
    """The JSON body of a resource whose properties fit `shape`.

    Raises:
        AzureError: 400 where it is none.
    """
    found = await read_object(request)
    if not isinstance(found.get("properties"), dict):
        raise user_error("The body has no properties")
    check_shape(found["properties"], shape)
    return found
