"""Tokens of one online endpoint, for endpoints on Kubernetes: those take no token of the app's identity itself.

An address of such a slot carries, behind `#`, where its tokens are had: `https://host/score#https://…/token?…`. What is
behind `#` never goes over the wire. Contract, the ARM operation "Online Endpoints - Get Token":
https://learn.microsoft.com/rest/api/azureml/online-endpoints/get-token
"""

from __future__ import annotations

import threading
import time

import urllib3
from pydantic_core import from_json

from services.cloud.http import pool
from services.cloud.identity import MACHINE_LEARNING, MANAGEMENT, known, token
from services.cloud.upstream import upstream_error
from services.errors import Upstream

API_VERSION = "2023-10-01"
TIMEOUT_SECONDS = 10.0
LEAST_SECONDS = 60.0
"""A token is used at least this long, whatever is said of when to renew it."""

_tokens: dict[str, tuple[str, float]] = {}
_lock = threading.Lock()


def with_tokens(scoring_uri: str, management: str, endpoint_id: str) -> str:
    """The address of an endpoint that wants tokens of its own; `endpoint_id` is its ARM id."""
    return f"{scoring_uri}#{management.rstrip('/')}{endpoint_id}/token?api-version={API_VERSION}"


def bearer(scoring_uri: str) -> tuple[str, str]:
    """The address to send to, and the token that it takes.

    Raises:
        Upstream: no token could be had.
    """
    address, _, source = scoring_uri.partition("#")
    return address, _own(source) if source else token(MACHINE_LEARNING)


def known_bearer(scoring_uri: str) -> tuple[str, str] | None:
    """The same where it is known already; None where somebody has to be asked."""
    address, _, source = scoring_uri.partition("#")
    taken = _kept(source) if source else known(MACHINE_LEARNING)
    return (address, taken) if taken else None


def _kept(source: str) -> str:
    cached, renew = _tokens.get(source, ("", 0.0))
    return cached if time.time() < renew else ""


def _own(source: str) -> str:
    with _lock:
        if cached := _kept(source):
            return cached
        found, renew = _ask(source)
        _tokens[source] = (found, max(renew, time.time() + LEAST_SECONDS))
        return found


def _ask(source: str) -> tuple[str, float]:
    headers = {"Authorization": f"Bearer {token(MANAGEMENT)}", "Content-Length": "0"}
    try:
        answer = pool().request("POST", source, headers=headers, timeout=TIMEOUT_SECONDS)
    except urllib3.exceptions.HTTPError as error:
        raise Upstream(f"No token of the endpoint could be had: {type(error).__name__}") from None
    if answer.status != 200:
        raise upstream_error(answer.status, answer.headers, "Getting a token of the endpoint")
    try:
        said = from_json(answer.data)
        return str(said["accessToken"]), float(said.get("refreshAfterTimeUtc") or 0)
    except (ValueError, KeyError, TypeError):
        raise Upstream("The token of the endpoint came in another shape") from None
