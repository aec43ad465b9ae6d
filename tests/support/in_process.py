"""The whole app over fakes behind our Functions host, in this process: what a client sees, without a socket."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.functions_host import http
from emulator.functions_host.bindings import Function, Invoker
from services import wiring
from services.cloud.fakes import FakeCloud
from tests.support import faked_app

KEY = "a-function-key"


class Host:
    """Asks an app's HTTP functions."""

    def __init__(self, app: Any) -> None:
        """`app` is a FunctionApp."""
        found = [self._function(f) for f in app.get_functions()]
        routes = http.routes(found, Invoker(20), http.Keys({"default": KEY, "master": "a-master-key"}))
        self.application = http.HostRouter(routes)

    def ask(self, method: str, path: str, *, key: str = KEY, **given: Any) -> httpx.Response:
        """One request; `given` goes to httpx, a content always has its length."""

        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self.application), base_url="http://host"
            ) as client:
                client.headers["x-functions-key"] = key
                return await client.request(method, path, **given)

        return asyncio.run(asked())

    @staticmethod
    def _function(found: Any) -> Function:
        call = found.get_user_function()
        trigger = next(b for b in map(json.loads, found.get_raw_bindings()) if b["type"].endswith("Trigger"))
        return Function(str(found.get_function_name()), call, trigger, inspect.iscoroutinefunction(call))


@contextmanager
def faked_host(folder: Path) -> Iterator[tuple[Host, FakeCloud]]:
    """Our host with the product's app over fakes, and the fakes; the wiring is as before afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISIONLOOP_TEST_EFFECTS", str(folder / "effects"))
        before = dict(vars(wiring))
        try:
            yield Host(faked_app.product()), faked_app.wire()
        finally:
            vars(wiring).update(before)
