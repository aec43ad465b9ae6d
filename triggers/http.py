"""What all HTTP triggers share: one shape of answers, one shape of errors."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps

import azure.functions as func

from services.errors import TooLarge
from services.problem import problem

MOST_BYTES = 256 * 1024
"""Of a body, but for those that hold images, whose limits are settings: no other route needs a hundredth of it."""
Handler = Callable[[func.HttpRequest], func.HttpResponse]
AsyncHandler = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def _told(error: Exception) -> func.HttpResponse:
    status, headers, body = problem(error)
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=headers["content-type"])


def answers(handler: Handler) -> Handler:
    """Turn whatever the handler raises into problem details."""
    return _guarded(handler, _check_size)


def answers_large(handler: Handler) -> Handler:
    """The same where a body may hold images."""
    return _guarded(handler, _check_large)


def _guarded(handler: Handler, check: Callable[[func.HttpRequest], None]) -> Handler:
    @wraps(handler)
    def guarded(req: func.HttpRequest) -> func.HttpResponse:
        try:
            check(req)
            return handler(req)
        except Exception as error:  # noqa: BLE001  # the one place where errors become answers
            return _told(error)

    return guarded


def answers_later(handler: AsyncHandler) -> AsyncHandler:
    """The same for a coroutine: such a handler runs on the worker's event loop, and must not block it.

    The body of a POST is left to its service, which knows the limits of predictions.
    """

    @wraps(handler)
    async def guarded(req: func.HttpRequest) -> func.HttpResponse:
        try:
            if req.method != "POST":
                _check_size(req)
            return await handler(req)
        except Exception as error:  # noqa: BLE001  # as above
            return _told(error)

    return guarded


def _check_size(req: func.HttpRequest) -> None:
    if (length := len(req.get_body())) > MOST_BYTES:
        raise TooLarge(f"The body has {length} bytes, over {MOST_BYTES}", limit=MOST_BYTES)


def _check_large(req: func.HttpRequest) -> None:
    from services import wiring
    from services.inference.body import check_body

    check_body(len(req.get_body()), wiring.settings())


def asked(req: func.HttpRequest, *known: str) -> dict[str, str]:
    """The parameters of a request that only reads.

    Raises:
        BadRequest: there is one that is not known.
    """
    from services.query import checked

    return checked(req.params, *known)


def json_answer(value: object, status: int = 200) -> func.HttpResponse:
    """A JSON answer, in which people read names as they are written."""
    content = json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "replace")
    return func.HttpResponse(content, status_code=status, mimetype="application/json")
