"""What all HTTP triggers share: one shape of answers, one shape of errors."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps

import azure.functions as func

from services.problem import problem

Handler = Callable[[func.HttpRequest], func.HttpResponse]
AsyncHandler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def _told(error: Exception) -> func.HttpResponse:
    status, headers, body = problem(error)
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=headers["content-type"])


def answers(handler: Handler) -> Handler:
    """Turn whatever the handler raises into problem details."""

    @wraps(handler)
    def guarded(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return handler(req)
        except Exception as error:  # noqa: BLE001  # the one place where errors become answers
            return _told(error)

    return guarded


def answers_later(handler: AsyncHandler) -> AsyncHandler:
    """The same for a coroutine: such a handler runs on the worker's event loop, and must not block it."""

    @wraps(handler)
    async def guarded(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await handler(req)
        except Exception as error:  # noqa: BLE001  # as above
            return _told(error)

    return guarded


def json_answer(value: object, status: int = 200) -> func.HttpResponse:
    """A JSON answer."""
    return func.HttpResponse(json.dumps(value, default=str), status_code=status, mimetype="application/json")
