"""Turns triggers into calls: the same steps, by the same library, as Microsoft's Python worker."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import json
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

log = logging.getLogger("host")
_SETTING = re.compile(r"%([^%]+)%")


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function."""

    name: str
    call: Callable[..., Any]
    trigger: Mapping[str, Any]
    """The raw trigger binding: type, name of the argument, and what the type asks for."""
    is_async: bool

    @property
    def kind(self) -> str:
        """`httpTrigger`, `queueTrigger`, `timerTrigger` or `eventGridTrigger`."""
        return str(self.trigger["type"])


def resolve(text: str) -> str:
    """Replace `%NAME%` by the app setting.

    Raises:
        KeyError: there is no such setting; the real host does not start the function either.
    """
    return _SETTING.sub(lambda match: os.environ[match[1]], text)


def index(folder: Path) -> list[Function]:
    """Import `function_app` from a folder and list its functions.

    Raises:
        ValueError: a function has no trigger, or its argument is not named as the binding says.
    """
    sys.path.insert(0, str(folder))
    module = importlib.import_module("function_app")
    app = next(v for v in vars(module).values() if isinstance(v, func.FunctionApp))
    return [_function(f) for f in app.get_functions()]


def _function(found: Any) -> Function:
    bindings = [json.loads(b) for b in found.get_raw_bindings()]
    trigger = next((b for b in bindings if str(b["type"]).endswith("Trigger")), None)
    call, name = found.get_user_function(), str(found.get_function_name())
    if trigger is None:
        raise ValueError(f"{name} has no trigger")
    if trigger["name"] not in inspect.signature(call).parameters:
        raise ValueError(f"{name} takes no argument named {trigger['name']!r}")
    return Function(name, call, trigger, inspect.iscoroutinefunction(call))


class Invoker:
    """Calls functions: coroutines on the loop, the others in the worker's thread pool."""

    def __init__(self, timeout: float) -> None:
        """`timeout` in seconds is host.json's functionTimeout."""
        workers = int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or min(32, (os.cpu_count() or 1) + 4))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="function")
        self._timeout = timeout
        self.running = 0

    async def invoke(
        self, function: Function, datum: Datum, metadata: Mapping[str, Datum] | None = None, *, reason: str
    ) -> Any:
        """Decode, call, and log one line; `reason` says what started it. Whatever the function raises is raised."""
        started, outcome = time.perf_counter(), "failed"
        self.running += 1
        try:
            registry = func.get_binding_registry()
            value = registry.get(function.kind).decode(datum, trigger_metadata=metadata or {})
            async with asyncio.timeout(self._timeout):
                result = await self._call(function, value)
            outcome = "succeeded"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self.running -= 1
            if log.isEnabledFor(logging.INFO):
                spent = 1000 * (time.perf_counter() - started)
                log.info("%s %s in %.1f ms (%s, invocation %s)", function.name, outcome, spent, reason, uuid.uuid4())
        return result

    async def _call(self, function: Function, value: Any) -> Any:
        arguments = {str(function.trigger["name"]): value}
        if function.is_async:
            return await function.call(**arguments)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(lambda: function.call(**arguments)))
