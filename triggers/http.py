"""What all HTTP triggers share: one shape of answers, one shape of errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps

import azure.functions as func

from services.problem import problem

Handler = Callable[[func.HttpRequest], func.HttpResponse]


def answers(handler: Handler) -> Handler:
    """Turn whatever the handler raises into problem details."""

    @wraps(handler)
    def guarded(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return handler(req)
        except Exception as error:  # noqa: BLE001  # the one place where errors become answers
            status, headers, body = problem(error)
            return func.HttpResponse(body, status_code=status, headers=headers, mimetype=headers["content-type"])

    return guarded


def json_answer(value: object, status: int = 200) -> func.HttpResponse:
    """A JSON answer."""
    return func.HttpResponse(json.dumps(value, default=str), status_code=status, mimetype="application/json")
