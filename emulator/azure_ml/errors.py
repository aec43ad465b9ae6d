"""Errors in Azure Resource Manager's shape, for everything that Azure ML refuses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z]+)?", re.IGNORECASE)


class AzureError(Exception):
    """A refusal: status, Azure's code, and a message for people."""

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        """`retry_after` in seconds, where a repetition helps."""
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    def response(self) -> JSONResponse:
        """As Azure ML's management front end writes it."""
        component = {"type": "ComponentName", "info": {"value": "managementfrontend"}}
        error = {"code": self.code, "message": self.message, "details": [], "additionalInfo": [component]}
        headers = {"retry-after": str(self.retry_after)} if self.retry_after is not None else None
        return JSONResponse({"error": error}, self.status, headers)


def not_found(what: str) -> AzureError:
    """404."""
    return AzureError(404, "ResourceNotFound", f"{what} was not found")


def user_error(message: str) -> AzureError:
    """400: the request is wrong."""
    return AzureError(400, "UserError", message)


def conflict(message: str) -> AzureError:
    """409: it exists, and not like this."""
    return AzureError(409, "Conflict", message)


def check_api_version(version: str | None) -> None:
    """Refuse a management request as Azure Resource Manager does, before anything else looks at it.

    Which versions there are is left to the SDK: they move with its releases.

    Raises:
        AzureError: 400.
    """
    if not version:
        said = "The api-version query parameter (?api-version=) is required for all requests."
        raise AzureError(400, "MissingApiVersionParameter", said)
    if not _API_VERSION.fullmatch(version):
        raise AzureError(400, "InvalidApiVersionParameter", f"The api-version {version[:100]!r} is invalid.")


class JobFailed(Exception):
    """The job ends as Failed; `error` is told with it."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is UserError or SystemError, or codes from the outside in, joined by slashes."""
        super().__init__(message)
        outer, *inner = code.split("/")
        self.error: dict[str, Any] = {"code": outer, "message": message}
        if inner:
            self.error["innerError"] = _nested(inner)


def _nested(codes: Sequence[str]) -> dict[str, Any]:
    first, *rest = codes
    return {"code": first, "innerError": _nested(rest)} if rest else {"code": first}
