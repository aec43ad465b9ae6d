from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import azure.functions as func
import httpx

from emulator.functions_host import event_grid, http
from emulator.functions_host.bindings import Function, Invoker

KEYS = {"master": "m", "default": "d", "eventgrid_extension": "s"}
HOOK = "/runtime/webhooks/eventgrid"
seen: list[str] = []


def echo(request: func.HttpRequest) -> func.HttpResponse:
    body = f"{request.params.get('a')}|{request.headers.get('x-two')}|{len(request.get_body())}|{request.route_params}"
    return func.HttpResponse(body, status_code=201, headers={"X-Own": "1"})


def fails(request: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("a secret of the inside")


async def take(event: func.EventGridEvent) -> None:
    seen.append(event.id)
    if event.id == "bad":
        raise RuntimeError("no")


def function(title: str, call: Any, **binding: Any) -> Function:
    return Function(title, call, binding, asyncio.iscoroutinefunction(call))


def http_function(title: str, call: Any, **binding: Any) -> Function:
    return function(title, call, type="httpTrigger", name="request", **binding)


FUNCTIONS = [
    http_function("open", echo, route="loops/{loop}", authLevel="ANONYMOUS", methods=["GET", "POST"]),
    http_function("fixed", echo, route="loops/fixed", authLevel="ANONYMOUS", methods=["DELETE"]),
    http_function("guarded", echo, authLevel="FUNCTION"),
    http_function("ruled", echo, authLevel="ADMIN"),
    http_function("fails", fails, authLevel="ANONYMOUS"),
    function("events", take, type="eventGridTrigger", name="event"),
]


def ask(method: str, path: str, **given: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        invoker, keys = Invoker(5), http.Keys(KEYS)
        routes = [*http.routes(FUNCTIONS, invoker, keys), event_grid.route(FUNCTIONS, invoker, keys)]
        app = http.HostRouter(routes)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host") as client:
            return await client.request(method, path, **given)

    return asyncio.run(asked())


def test_a_route_gives_its_parameters_joined_headers_and_the_functions_own_answer() -> None:
    answer = ask("POST", "/api/loops/cards?a=1&a=2", content=b"xyz", headers=[("X-Two", "p"), ("x-two", "q")])
    assert (answer.status_code, answer.headers["x-own"]) == (201, "1")
    assert answer.text == "1,2|p,q|3|{'loop': 'cards'}"


def test_routes_are_not_case_sensitive_and_a_fixed_one_is_tried_first() -> None:
    assert ask("GET", "/API/Loops/Cards").status_code == 201
    assert ask("DELETE", "/api/loops/fixed").status_code == 201


def test_a_slash_at_the_end_is_the_same_route() -> None:
    assert ask("POST", "/api/loops/cards/", content=b"xyz").text.endswith("{'loop': 'cards'}")
    assert ask("GET", "/api/loops/cards//").status_code == 404


def test_a_wrong_method_is_a_route_that_is_not_there() -> None:
    for method in ("PUT", "HEAD", "DELETE"):
        assert ask(method, "/api/loops/cards").status_code == 404


def test_each_level_takes_its_keys_and_no_other() -> None:
    opened = {
        (path, key): ask("GET", path, headers={"x-functions-key": key}).status_code
        for path in ("/api/guarded", "/api/ruled")
        for key in ("m", "d", "s", "wrong")
    }
    assert {place for place, status in opened.items() if status == 201} == {
        ("/api/guarded", "m"),
        ("/api/guarded", "d"),
        ("/api/ruled", "m"),
    }
    assert set(opened.values()) == {201, 401}


def test_the_header_wins_over_the_query() -> None:
    assert ask("GET", "/api/guarded?code=d").status_code == 201
    assert ask("GET", "/api/guarded?code=d", headers={"x-functions-key": "wrong"}).status_code == 401


def test_what_a_function_raises_is_an_empty_500() -> None:
    answer = ask("GET", "/api/fails")
    assert (answer.status_code, answer.content) == (500, b"")


def test_a_body_over_100_mib_is_refused_before_it_is_read() -> None:
    too_long = {"content-length": str(100 * 2**20 + 1)}
    assert ask("POST", "/api/loops/cards", content=b"x", headers=too_long).status_code == 413


def test_a_chunked_body_does_not_reach_a_function() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"

    assert ask("POST", "/api/loops/cards", content=chunks()).text.split("|")[2] == "0"


def hook(events: Any, kind: str | None = "Notification", name: str = "events", key: str = "s") -> httpx.Response:
    headers = {"aeg-event-type": kind} if kind else {}
    return ask("POST", f"{HOOK}?functionName={name}&code={key}", json=events, headers=headers)


def event(name: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/s",
        "type": "t",
        "subject": "x",
        "time": "2026-01-01T00:00:00Z",
    }


def test_the_webhook_refuses_as_the_extension_does() -> None:
    assert hook([], name="nobody").status_code == 404
    assert hook([event("a")], kind=None).status_code == 400
    assert hook([], kind="SubscriptionValidation").status_code == 400
    assert [hook([], key=k).status_code for k in ("d", "wrong", "m")] == [401, 401, 202]


def test_both_handshakes() -> None:
    answer = hook([{"data": {"validationCode": "c"}}], kind="SubscriptionValidation")
    assert answer.json() == {"validationResponse": "c"}
    path = f"{HOOK}?functionName=events&code=s"
    assert ask("OPTIONS", path, headers={"WebHook-Request-Origin": "o"}).headers["WebHook-Allowed-Origin"] == "o"
    assert ask("OPTIONS", path).status_code == 400


def test_each_event_of_a_batch_is_invoked_and_one_failure_brings_the_batch_again() -> None:
    seen.clear()
    assert hook([event("a"), event("b")]).status_code == 202
    assert hook([event("c"), event("bad"), event("d")]).status_code == 500
    assert sorted(seen) == ["a", "b", "bad", "c", "d"]


def test_the_events_of_a_delivery_run_in_parallel() -> None:
    meeting: list[asyncio.Barrier] = []

    async def meet(event: func.EventGridEvent) -> None:
        meeting or meeting.append(asyncio.Barrier(3))
        await meeting[0].wait()  # passed only if all three are inside at once

    FUNCTIONS.append(function("meet", meet, type="eventGridTrigger", name="event"))
    try:
        assert hook([event(n) for n in "abc"], name="meet").status_code == 202
    finally:
        FUNCTIONS.pop()


def test_a_coroutine_whose_client_went_away_is_cancelled() -> None:
    scope = {
        "type": "http", "method": "POST", "path": "/api/linger", "raw_path": b"/api/linger", "query_string": b"", "headers": [(b"content-length", b"2")],
        "server": ("host", 80), "scheme": "http", "http_version": "1.1", "root_path": "", "client": ("c", 1),
    }  # fmt: skip
    messages: list[Any] = [{"type": "http.request", "body": b"{}", "more_body": False}]
    sent: list[Any] = []

    async def scene() -> None:
        began, cancelled = asyncio.Event(), asyncio.Event()

        async def linger(request: func.HttpRequest) -> None:
            began.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await began.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        function = http_function("linger", linger, authLevel="ANONYMOUS")
        app = http.HostRouter(http.routes([function], Invoker(5), http.Keys(KEYS)))
        await asyncio.wait_for(app(scope, receive, send), 5)
        assert cancelled.is_set()

    asyncio.run(scene())
    assert sent[0]["status"] == 499
