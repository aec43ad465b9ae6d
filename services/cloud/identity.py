"""Tokens of the app's identity, without an SDK where the platform offers managed identity over REST.

The REST contract is App Service's and Functions':
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from services.cloud.http import pool
from services.errors import Upstream

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

STORAGE = "https://storage.azure.com"
MANAGEMENT = "https://management.azure.com"
MACHINE_LEARNING = "https://ml.azure.com"

_RENEW_BEFORE_SECONDS = 300
_tokens: dict[str, tuple[str, float]] = {}
_lock = threading.Lock()


def known(resource: str) -> str:
    """The token that is had already and good; empty where it has to be asked for. Nobody is waited for."""
    cached, expires = _tokens.get(resource, ("", 0.0))
    return cached if time.time() < expires - _RENEW_BEFORE_SECONDS else ""


def token(resource: str) -> str:
    """A bearer token for a resource, such as `https://ml.azure.com`, from the cache while it is good.

    Raises:
        Upstream: no token could be had.
    """
    with _lock:
        if cached := known(resource):
            return cached
        fresh, expires = _managed(resource) if os.environ.get("IDENTITY_ENDPOINT") else _developer(resource)
        _tokens[resource] = (fresh, expires)
        return fresh


def _managed(resource: str) -> tuple[str, float]:
    query = {"resource": resource, "api-version": "2019-08-01"}
    if client := os.environ.get("AZURE_CLIENT_ID"):
        query["client_id"] = client
    url = f"{os.environ['IDENTITY_ENDPOINT']}?{urlencode(query)}"
    header = {"X-IDENTITY-HEADER": os.environ.get("IDENTITY_HEADER", "")}
    try:
        answer = pool().request("GET", url, headers=header, timeout=10)
    except Exception as error:
        raise Upstream(f"The managed identity endpoint did not answer: {type(error).__name__}") from error
    if answer.status != 200:
        raise Upstream(f"The managed identity endpoint answered {answer.status} for {resource}")
    body: dict[str, Any] = json.loads(answer.data)
    return str(body["access_token"]), float(body["expires_on"])


def _developer(resource: str) -> tuple[str, float]:
    try:
        found = credential().get_token(f"{resource}/.default")
    except Exception as error:
        raise Upstream(f"No identity for {resource}: sign in with `az login`, or set a managed identity") from error
    return found.token, float(found.expires_on)


def credential() -> TokenCredential:
    """The SDK's credential, for adapters that hand one to an SDK client; imported only then."""
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
