"""HTTP triggers: routes, keys, limits and answers as the real host gives them."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from http.cookies import SimpleCookie

import azure.functions as func
from azure.functions.meta import Datum
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Lifespan, Receive, Scope, Send

from emulator.functions_host.asked import Asked, whole_body
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

    def open(self, headers: Mapping[str, str], query: Mapping[str, str], names: Iterable[str]) -> bool:
        """Whether a request carries one of these keys."""
        given = headers.get("x-functions-key") or query.get("code") or ""
        known = [self._keys[name] for name in names if self._keys.get(name)]
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in known)


_LEVELS = {"ANONYMOUS": None, "FUNCTION": ("default", "master"), "ADMIN": ("master",)}


def routes(functions: Iterable[Function], invoker: Invoker, keys: Keys, prefix: str = "api") -> list[Route]:
    """Routes under the prefix; one without placeholders is tried first, a method that a route lacks is 404."""
    found = [f for f in functions if f.kind == "httpTrigger"]
    found.sort(key=lambda f: str(f.trigger.get("route") or f.name).count("{"))
    return [_route(f, invoker, keys, prefix) for f in found]


class HostRouter(Router):
    """Remembers where a path led: an app has dozens of routes, which are tried one after the other.

    The real host knows no 405: a method that no route takes is a route that is not there.
    """

    def __init__(self, routes: Sequence[BaseRoute], lifespan: Lifespan[Router] | None = None) -> None:
        """Without the layers that Starlette puts around each request."""
        super().__init__(routes, redirect_slashes=False, lifespan=lifespan)
        self._found = lru_cache(maxsize=256)(self._find)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, if there is a route."""
        if scope["type"] != "http":
            await super().app(scope, receive, send)
            return
        route, found = self._found(scope["method"], scope["path"])
        scope.update(found)
        await (route.app if route else Response(status_code=404))(scope, receive, send)

    def _find(self, method: str, path: str) -> tuple[Route | None, Scope]:
        scope = {"type": "http", "method": method, "path": path, "root_path": ""}
        matched = ((route, *route.matches(scope)) for route in self.routes if isinstance(route, Route))
        return next(((route, found) for route, match, found in matched if match is Match.FULL), (None, {}))


class _Endpoint:
    """A function's HTTP trigger as an ASGI application."""

    def __init__(self, function: Function, invoker: Invoker, keys: Keys) -> None:
        self._function, self._invoker, self._keys = function, invoker, keys
        self._level = _LEVELS[str(function.trigger.get("authLevel") or "FUNCTION").upper()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Asked(scope)
        if self._level is not None and not self._keys.open(asked.headers, asked.query, self._level):
            answer = Response(status_code=401)
        else:
            answer = await _serve(self._function, self._invoker, asked, scope["path_params"], receive)
        await answer(scope, receive, send)


def _route(function: Function, invoker: Invoker, keys: Keys, prefix: str) -> Route:
    path = "/".join(
        ["", *filter(None, [prefix.strip("/"), str(function.trigger.get("route") or function.name).strip("/")])]
    )
    path = re.sub(r"\{(\*?)(\w+)[^}]*\}", lambda m: f"{{{m[2]}{':path' if m[1] else ''}}}", path)
    methods = [str(m).upper() for m in function.trigger.get("methods") or METHODS]
    route = Route(path, _Endpoint(function, invoker, keys), methods=methods, name=function.name)
    route.methods = set(methods)  # without the HEAD that Starlette adds to GET
    # as ASP.NET's routing takes it: in any case, and with a slash at its end
    route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + "/?$", re.IGNORECASE)
    return route


async def _serve(
    function: Function, invoker: Invoker, asked: Asked, params: Mapping[str, object], receive: Receive
) -> Response:
    length = asked.headers.get("content-length", "")
    if length and int(length) > MOST_BODY_BYTES:
        return Response(status_code=413)
    try:
        body = await whole_body(receive) if length else b""  # a chunked body does not arrive at a Python function
        call = invoker.invoke(function, _datum(asked, params, body), reason=f"HTTP {asked.method}")
        result = await (while_connected(receive, call) if function.is_async else call)
    except ClientDisconnect:
        return Response(status_code=CLIENT_GONE)
    except Exception:
        log.exception("%s raised", function.name)
        return Response(status_code=500)
    return _response(result)


def _datum(asked: Asked, params: Mapping[str, object], body: bytes) -> Datum:
    def data(found: Mapping[str, object]) -> dict[str, Datum]:
        return {name: Datum(str(value), "string") for name, value in found.items()}

    return Datum(
        {
            "method": Datum(asked.method, "string"),
            "url": Datum(asked.url, "string"),
            "headers": data(asked.headers),
            "query": data(asked.query),
            "params": data(params),
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
