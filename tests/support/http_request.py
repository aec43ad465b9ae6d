"""HTTP requests as the Functions host hands them to a function."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func


def request(
    path: str = "/", *, body: bytes = b"", method: str = "GET", headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None, **route: str,
) -> func.HttpRequest:  # fmt: skip
    return func.HttpRequest(
        method=method,
        url=f"http://localhost/api{path}",
        headers=headers or {},
        params=query or {},
        route_params=route,
        body=body,
    )


def functions() -> dict[str, Any]:
    """The app's own functions by name, as the host indexes them."""
    import importlib

    forget_app()
    app = importlib.import_module("function_app").app
    return {f.get_function_name(): f for f in app.get_functions()}


def forget_app() -> None:
    """An app object is indexed once in a process: the next import makes another."""
    import sys

    for name in [n for n in sys.modules if n == "function_app" or n.startswith("triggers.")]:
        del sys.modules[name]


def document(answer: func.HttpResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.get_body())
    return found
