"""What all resources share: ids, envelopes, names, answers, and the refusal of changed versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.azure_ml.config import PROVIDER, Config
from emulator.azure_ml.errors import conflict, not_found, user_error
from emulator.azure_ml.listings import paged, viewed
from emulator.azure_ml.operations import Operations
from emulator.azure_ml.shapes import Shape, check_shape
from emulator.azure_ml.store import Body, Store

VERSION_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
ASSET_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")
"""As Microsoft publishes it of jobs, data, models and code; curated environments are known to have dots."""
NAMES = {"environments": VERSION_NAME}
VERSION_DEFAULTS: Body = {
    "description": None,
    "tags": {},
    "properties": {},
    "isArchived": False,
    "isAnonymous": False,
}
"""What every version of an asset shows, said or not."""


def now_text() -> str:
    """The time as Azure writes it."""
    return datetime.now(UTC).isoformat()


class Resources:
    """Envelopes and answers of one workspace."""

    def __init__(self, config: Config, store: Store) -> None:
        """Resources are kept in `store`."""
        self.config, self.store = config, store
        self.operations = Operations(config, store)

    def envelope(self, path: str, body: Body) -> Body:
        """A stored body as Azure Resource Manager shows it; `path` is below the workspace, as `data/x/versions/1`."""
        parts = path.split("/")
        kind = f"{PROVIDER}/workspaces/{'/'.join(parts[0::2])}"
        created = body.get("created", now_text())
        system = {"createdAt": created, "createdBy": "local", "createdByType": "User"}
        system |= {"lastModifiedAt": body.get("modified", created), "lastModifiedBy": "local"}
        shown = {k: v for k, v in body.items() if k not in {"created", "modified", "internal"}}
        described = {"systemData": {**system, "lastModifiedByType": "User"}, **shown}
        return {"id": f"{self.config.scope}/{path}", "name": parts[-1], "type": kind, **described}

    def show(self, kind: str, key: str) -> Body:
        """One resource.

        Raises:
            AzureError: 404.
        """
        body = self.store.get(kind, key)
        if body is None:
            raise not_found(f"{kind} {key}")
        return self.envelope(f"{kind}/{key}", body)

    def listing(self, request: Request, kind: str, rows: Iterable[tuple[str, Body]] | None = None) -> Response:
        """A page of resources of a kind: of all, or of these rows."""
        found = self.store.list(kind) if rows is None else rows
        return paged(request, [self.envelope(f"{kind}/{k}", b) for k, b in found], self.config.base_url)

    def created(self, request: Request, shown: Body, *, new: bool) -> Response:
        """Answer a write that is done: a new resource's address is told."""
        return JSONResponse(shown, 201 if new else 200, self.address(request) if new else None)

    def address(self, request: Request) -> dict[str, str]:
        """`Location` of the resource that a request is about."""
        return {"Location": f"{self.config.base_url}{request.url.path}?{request.url.query}"}

    def begin(self, request: Request, kind: str, key: str) -> dict[str, str]:
        """Begin a long-running operation on a resource; the headers that tell of it."""
        return self.operations.begin(kind, key, now_text(), request.query_params.get("api-version", ""))

    async def put_version(
        self,
        kind: str,
        request: Request,
        fixed: tuple[str, ...],
        defaults: Body | None = None,
        rewrite: Callable[[Body], Body] = dict,
    ) -> Response:
        """Create a version of a named asset, or repeat its creation; what is in `fixed` never changes.

        Raises:
            AzureError: 400 for a wrong name, 409 where a fixed property differs.
        """
        name, version = request.path_params["name"], request.path_params["version"]
        check_name(name, NAMES.get(kind, ASSET_NAME))
        check_name(version, VERSION_NAME)
        body, key = await read_body(request), f"{name}/versions/{version}"
        given = {k: v for k, v in body["properties"].items() if v is not None}
        body["properties"] = {**VERSION_DEFAULTS, **(defaults or {}), **rewrite(given)}
        old = self.store.get(kind, key)
        if old is not None and any(
            _plain(old["properties"].get(f)) != _plain(body["properties"].get(f)) for f in fixed
        ):
            raise conflict(f"A {kind} asset with the name {name} and version {version} exists and cannot be changed")
        now = now_text()
        self.store.put(kind, key, {**body, "created": old["created"] if old else now, "modified": now})
        if self.store.get(kind, name) is None:
            self.store.put(kind, name, {"properties": {}, "created": now})
        return self.created(request, self.show(kind, key), new=old is None)

    def containers(self, request: Request, kind: str) -> Response:
        """A page of the containers of named assets."""
        names = dict.fromkeys(key.partition("/")[0] for key, _ in viewed(request, self.store.list(kind)) if "/" in key)
        return paged(request, [self.container(kind, name) for name in names], self.config.base_url)

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
