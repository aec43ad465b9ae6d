"""Faults on purpose: requests refused, slow, or done and yet answered with an error; jobs and slots that fail."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator.azure_ml.connections import cut
from emulator.azure_ml.errors import AzureError

Kind = Literal[
    "refuse",
    "delay",
    "error_after_accept",
    "reset",
    "fail_job",
    "starve_job",
    "slow_cancel",
    "fail_deployment",
    "slow_deployment",
    "slow_endpoint",
    "drop_event",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
REQUEST_KINDS: tuple[Kind, ...] = ("refuse", "delay", "error_after_accept", "reset")
STEPS = ("prepare", "train", "trials")
"""Where a job may be made to fail: before its data are read, after the first epoch, or only in all of its trials."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes wrong, where, and how often. `path` and `method` are regular expressions.

    `code` is what a job's error has: one, or several from the outside in, joined by slashes.
    """

    kind: Kind
    path: str = ".*"
    method: str = ".*"
    step: str = "prepare"
    code: str = "SystemError"
    times: int = 1
    status: int = 500
    retry_after: int | None = None
    seconds: float = 0.0
    message: str = "A fault was injected"

    @classmethod
    def read(cls, found: Any) -> Rule:
        """From JSON.

        Raises:
            ValueError: it is no rule.
        """
        try:
            rule = cls(**found)
            re.compile(rule.path)
            re.compile(rule.method)
        except (TypeError, re.error) as error:
            raise ValueError(f"no rule: {error}") from None
        if rule.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        if rule.step not in STEPS:
            raise ValueError(f"step is one of {', '.join(STEPS)}")
        return rule


@dataclass(slots=True)
class Faults:
    """The rules in force, each for so many times."""

    rules: list[Rule] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, kinds: tuple[Kind, ...], path: str, method: str = "", step: str = "prepare") -> Rule | None:
        """The first rule that fits, which has one time less from now on."""
        with self.lock:
            for number, rule in enumerate(self.rules):
                fits = rule.kind in kinds and rule.step == step
                if fits and re.search(rule.path, path) and re.fullmatch(rule.method, method):
                    self.rules[number : number + 1] = [replace(rule, times=rule.times - 1)] if rule.times > 1 else []
                    return rule
        return None

    def job_failure(self, job: str, step: str = "prepare") -> Rule | None:
        """The rule by which a job is to fail at a step."""
        return self.spend(("fail_job",), job, step=step)

    def starvation(self, job: str) -> Rule | None:
        """The rule by which a job is to wait for a machine."""
        return self.spend(("starve_job",), job)

    def cancel_delay(self, job: str) -> float:
        """Seconds for which a job is to go on after it was cancelled."""
        rule = self.spend(("slow_cancel",), job)
        return rule.seconds if rule else 0.0

    def deployment_delay(self, slot: str) -> float:
        """Seconds for which a slot is to stay in creation."""
        rule = self.spend(("slow_deployment",), slot)
        return rule.seconds if rule else 0.0

    def endpoint_delay(self, name: str) -> float:
        """Seconds for which an endpoint's next change is to go on."""
        rule = self.spend(("slow_endpoint",), name)
        return rule.seconds if rule else 0.0

    def deployment_failure(self, slot: str) -> str:
        """The message with which a slot is to fail, or nothing."""
        rule = self.spend(("fail_deployment",), slot)
        return rule.message if rule else ""


class FaultMiddleware:
    """Stands before everything but the emulator's own pages."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        """`app` is what works."""
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or not."""
        if scope["type"] != "http" or scope["path"].startswith("/emulator/"):
            await self._app(scope, receive, send)
            return
        rule = self._faults.spend(REQUEST_KINDS, scope["path"], scope["method"])
        if rule is None:
            await self._app(scope, receive, send)
            return
        if rule.kind == "delay":
            await asyncio.sleep(rule.seconds)
            await self._app(scope, receive, send)
            return
        if rule.kind == "reset" and cut(scope.get("client")):
            while (await receive())["type"] != "http.disconnect":  # else uvicorn would answer 500 into the void
                continue
            return
        if rule.kind == "error_after_accept":
            await self._app(scope, receive, _nowhere)
        error = AzureError(rule.status, "TransientError", rule.message, rule.retry_after)
        await error.response()(scope, receive, send)


async def _nowhere(_: Any) -> None:
    """The answer that the caller never gets."""


async def page(request: Request, faults: Faults) -> Response:
    """GET lists, POST adds one, DELETE removes all."""
    if request.method == "DELETE":
        faults.rules.clear()
    if request.method == "POST":
        try:
            faults.rules.append(Rule.read(await request.json()))
        except ValueError as error:
            return Response(str(error), 400)
    shown = [{name: getattr(rule, name) for name in Rule.__slots__} for rule in faults.rules]
    return JSONResponse(shown)
