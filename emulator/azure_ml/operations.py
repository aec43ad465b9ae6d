"""Long-running operations: the headers that tell of one, and the two pages where it is looked at.

As azure-ai-ml's recorded sessions have them: a creation names the resource in `Location`, a deletion or cancellation
the page of its result; what goes on is "Updating".
"""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import not_found
from emulator.azure_ml.store import Body, Store

POLL_MILLISECONDS = "20"
"""Without it the SDK looks again only after half a minute."""
KEPT = 1000
"""Operations that can still be looked at."""
_ENDED = {"Succeeded": "Succeeded", "Failed": "Failed", "Canceled": "Succeeded"}


class Operations:
    """All of one workspace; an operation is over when its resource is no longer being changed."""

    def __init__(self, config: Config, store: Store) -> None:
        """Operations are kept in `store`."""
        self._config, self._store = config, store

    def begin(self, kind: str, key: str, began: str, version: str) -> dict[str, str]:
        """Remember an operation; the header that says where it is looked at, of api-version `version`."""
        number = str(uuid.uuid4())
        self._store.put("operations", number, {"kind": kind, "key": key, "began": began})
        self._store.keep_newest("operations", KEPT)
        where = f"{self._config.operations}/mfeOperationsStatus/{number}?api-version={version}"
        shared = {"x-ms-retry-after-ms": POLL_MILLISECONDS, "x-ms-async-operation-timeout": "PT1H"}
        return {"Azure-AsyncOperation": where, **shared}

    def state(self, number: str) -> tuple[str, Body]:
        """An operation's status (Updating, Succeeded, Failed) and its error.

        Raises:
            AzureError: 404.
        """
        found = self._store.get("operations", number)
        if found is None:
            raise not_found(f"Operation {number}")
        body = self._store.get(found["kind"], found["key"])
        if body is None:
            return "Succeeded", {}
        properties = body["properties"]
        status = _ENDED.get(str(properties.get("provisioningState") or properties.get("status") or "Succeeded"))
        error = body.get("internal", {}).get("error", {}) if status == "Failed" else {}
        return status or "Updating", error

    async def status_page(self, request: Request) -> Response:
        """How far an operation is."""
        number = request.path_params["number"]
        status, error = self.state(number)
        began = (self._store.get("operations", number) or {}).get("began")
        done = 0.0 if status == "Updating" else 100.0
        shown: dict[str, Any] = {"id": request.url.path, "name": number, "startTime": began, "percentComplete": done}
        shown["status"] = status
        if error:
            shown["error"] = error
        return JSONResponse(shown, headers={"x-ms-retry-after-ms": POLL_MILLISECONDS})

    async def result_page(self, request: Request) -> Response:
        """202 while an operation goes on."""
        if self.state(request.path_params["number"])[0] == "Updating":
            headers = {"Location": str(request.url), "x-ms-retry-after-ms": POLL_MILLISECONDS}
            return Response(status_code=202, headers=headers)
        return JSONResponse({})


def with_result(headers: dict[str, str]) -> dict[str, str]:
    """The same with `Location`, the page of the operation's result."""
    return {**headers, "Location": headers["Azure-AsyncOperation"].replace("OperationsStatus", "OperationResults")}
