"""The Event Grid extension's webhook, as in the host's source: one invocation an event, all in parallel."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from typing import Any

from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.functions_host.bindings import Function, Invoker
from emulator.functions_host.http import Keys

SYSTEM_KEY = "eventgrid_extension"
log = logging.getLogger("host")


def route(functions: Iterable[Function], invoker: Invoker, keys: Keys) -> Route:
    """`/runtime/webhooks/eventgrid?functionName=NAME&code=KEY`."""
    named = {f.name.lower(): f for f in functions if f.kind == "eventGridTrigger"}

    async def endpoint(request: Request) -> Response:
        if not keys.open(request.headers, request.query_params, (SYSTEM_KEY, "master")):
            return Response(status_code=401)
        function = named.get(request.query_params.get("functionName", "").lower())
        if function is None:
            return Response(f"cannot find function: '{request.query_params.get('functionName')}'", 404)
        if request.method == "OPTIONS":
            return _cloud_events_handshake(request)
        return await _take(request, function, invoker)

    return Route("/runtime/webhooks/eventgrid", endpoint, methods=["POST", "OPTIONS"])


def _cloud_events_handshake(request: Request) -> Response:
    """https://github.com/cloudevents/spec/blob/v1.0/http-webhook.md#4-abuse-protection."""
    origin = request.headers.get("webhook-request-origin")
    if not origin:
        return Response("WebHook-Request-Origin is missing", 400)
    return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


async def _take(request: Request, function: Function, invoker: Invoker) -> Response:
    try:
        events = _events(await request.body())
    except ValueError:
        return Response("The body is not JSON", 400)
    kind = request.headers.get("aeg-event-type", "").lower()
    if kind == "subscriptionvalidation":
        return _validation(events)
    if kind == "unsubscribe":
        return Response(status_code=202)
    if kind != "notification":
        return Response(status_code=400)
    calls = [invoker.invoke(function, Datum(json.dumps(event), "json"), reason="Event Grid") for event in events]
    failures = [r for r in await asyncio.gather(*calls, return_exceptions=True) if isinstance(r, BaseException)]
    for failure in failures:
        log.error("%s raised", function.name, exc_info=failure)
    return Response(status_code=500 if failures else 202)


def _validation(events: list[dict[str, Any]]) -> Response:
    """https://learn.microsoft.com/azure/event-grid/webhook-event-delivery."""
    try:
        return JSONResponse({"validationResponse": events[0]["data"]["validationCode"]})
    except (IndexError, KeyError, TypeError):
        return Response("There is no validation code", 400)


def _events(body: bytes) -> list[dict[str, Any]]:
    found = json.loads(body)
    events = found if isinstance(found, list) else [found]
    if not all(isinstance(event, dict) for event in events):
        raise ValueError("an event is an object")
    return events
