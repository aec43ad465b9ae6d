"""What a browser sees at the host's root: the real host has a page there too, which says only that the app runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from emulator.functions_host.bindings import Function

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Functions host</title><style>body{{font:16px/1.6 system-ui;margin:3rem auto;max-width:40rem;padding:0 1rem;
color-scheme:light dark}}</style><h1>Your function app is up and running</h1><p>What it shows without a key:</p>
<ul>{links}</ul>"""


def home(functions: Sequence[Function], prefix: str) -> Callable[[Request], Awaitable[Response]]:
    """A page of links to what may be read without a key."""
    paths = sorted(f"/{prefix}/{_route(f)}".replace("//", "/") for f in functions if _is_open(f))
    page = _PAGE.format(links="".join(f'<li><a href="{escape(p)}">{escape(p)}</a>' for p in paths))

    async def shown(_: Request) -> Response:
        return HTMLResponse(page)

    return shown


def _is_open(function: Function) -> bool:
    trigger = function.trigger
    methods = [str(m).upper() for m in trigger.get("methods") or ["GET"]]
    is_anonymous = str(trigger.get("authLevel")).upper() == "ANONYMOUS"
    return function.kind == "httpTrigger" and is_anonymous and "GET" in methods and "{" not in _route(function)


def _route(function: Function) -> str:
    return str(function.trigger.get("route") or function.name)
