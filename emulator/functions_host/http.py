"""HTTP triggers: routes, keys, limits and answers as the real host gives them."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable, Sequence
from http.cookies import SimpleCookie

import azure.functions as func
from azure.functions.meta import Datum
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Lifespan, Receive, Scope, Send

from emulator.functions_host.bindings import Function, Invoker
from emulator.functions_host.disconnect import while_connected

MOST_BODY_BYTES = 100 * 2**20
CLIENT_GONE = 499
"""Nobody reads it."""
METHODS = ["GET", "POST", "DELETE", "HEAD", "PATCH", "PUT", "OPTIONS"]
log = logging.getLogger("host")


class Keys:
    """Which key opens what. The header wins over `code`; a system key opens webhooks only."""

    def __init__(self, keys: dict[str, str]) -> None:
        """`keys` by name: master, default, and a system key for each extension."""
        self._keys = keys

    def open(self, request: Request, names: Iterable[str]) -> bool:
        """Whether the request carries one of these keys."""
        given = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
        known = [self._keys[name] for name in names if self._keys.get(name)]
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in known)


_LEVELS = {"ANONYMOUS": None, "FUNCTION": ("default", "master"), "ADMIN": ("master",)}


def routes(functions: Iterable[Function], invoker: Invoker, keys: Keys, prefix: str = "api") -> list[Route]:
    """Routes under the prefix; one without placeholders is tried first, a method that a route lacks is 404."""
    found = [f for f in functions if f.kind == "httpTrigger"]
    found.sort(key=lambda f: str(f.trigger.get("route") or f.name).count("{"))
    return [_route(f, invoker, keys, prefix) for f in found]


class HostRoute(Route):
    """The real host knows no 405: a method that no route takes is a route that is not there."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, if the method is one of the route's."""
        taken = scope["method"] in (self.methods or ())
        await (self.app if taken else Response(status_code=404))(scope, receive, send)


def application(routes: Sequence[BaseRoute], lifespan: Lifespan[Router] | None = None) -> Router:
    """The routes as an ASGI application, without the layers that Starlette puts around each request."""
    return Router(routes, redirect_slashes=False, lifespan=lifespan)


class _Endpoint:
    """A function's HTTP trigger as an ASGI application."""

    def __init__(self, function: Function, invoker: Invoker, keys: Keys) -> None:
        self._function, self._invoker, self._keys = function, invoker, keys
        self._level = _LEVELS[str(function.trigger.get("authLevel") or "FUNCTION").upper()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        refused = self._level is not None and not self._keys.open(request, self._level)
        answer = Response(status_code=401) if refused else await _serve(self._function, self._invoker, request)
        await answer(scope, receive, send)


def _route(function: Function, invoker: Invoker, keys: Keys, prefix: str) -> Route:
    path = "/".join(
        ["", *filter(None, [prefix.strip("/"), str(function.trigger.get("route") or function.name).strip("/")])]
    )
    path = re.sub(r"\{(\*?)(\w+)[^}]*\}", lambda m: f"{{{m[2]}{':path' if m[1] else ''}}}", path)
    methods = [str(m).upper() for m in function.trigger.get("methods") or METHODS]
    route = HostRoute(path, _Endpoint(function, invoker, keys), methods=methods, name=function.name)
    route.methods = set(methods)  # without the HEAD that Starlette adds to GET
    # as ASP.NET's routing takes it: in any case, and with a slash at its end
    route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + "/?$", re.IGNORECASE)
    return route


async def _serve(function: Function, invoker: Invoker, request: Request) -> Response:
    body = await _body(request)
    if body is None:
        return Response(status_code=413)
    try:
        call = invoker.invoke(function, _datum(request, body), reason=f"HTTP {request.method}")
        result = await (while_connected(request.receive, call) if function.is_async else call)
    except ClientDisconnect:
        return Response(status_code=CLIENT_GONE)
    except Exception:
        log.exception("%s raised", function.name)
        return Response(status_code=500)
    return _response(result)


async def _body(request: Request) -> bytes | None:
    """The body; empty where it is chunked, as it is for a Python function; None where it is too long."""
    length = request.headers.get("content-length")
    if length is None:
        return b""
    if int(length) > MOST_BODY_BYTES:
        return None
    try:
        return await request.body()
    except ClientDisconnect:
        return b""


def _datum(request: Request, body: bytes) -> Datum:
    def texts(items: Iterable[tuple[str, str]]) -> dict[str, Datum]:
        """What is given several times arrives joined by commas."""
        found: dict[str, str] = {}
        for name, value in items:
            found[name] = f"{found[name]},{value}" if name in found else value
        return {name: Datum(value, "string") for name, value in found.items()}

    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": texts(request.headers.items()),  # in lower case, as ASGI has them
            "query": texts(request.query_params.multi_items()),
            "params": texts((k, str(v)) for k, v in request.path_params.items()),
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _response(result: object) -> Response:
    if result is None:
        return Response(status_code=204)
    registry = func.get_binding_registry()
    datum = registry.get("http").encode(result, expected_type=None)
    if datum.type == "string":
        return Response(datum.value, media_type="text/plain")
    value = datum.value
    headers = {name: header.value for name, header in value["headers"].items()}
    answer = Response(value["body"].value, int(value["status_code"].value), headers)
    for cookie in value["cookies"] or ():
        _set_cookies(answer, cookie)
    return answer


def _set_cookies(answer: Response, cookie: SimpleCookie) -> None:
    for morsel in cookie.values():
        answer.headers.append("set-cookie", morsel.OutputString())
