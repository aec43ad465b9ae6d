"""The OpenAPI document: https://spec.openapis.org/oas/v3.1.1.html. Built when it is first asked for, then kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from services import __version__
from services.openapi.parameters import NAMED, PATH, Parameter
from services.openapi.shapes import TEXT, Shape, event_shape, record, ref, shapes
from services.openapi.table import OPERATIONS, Content, Operation
from services.problem import CONTENT_TYPE
from services.webhooks.kinds import KINDS, PREFIX

_KEYS = {
    "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
    "query": {"type": "apiKey", "in": "query", "name": "code"},
}
_CLIENT_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "vlk_<id>_<secret>"},
    "client": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_RETRIED = (202, 429, 503)
_EVENT_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


@cache
def text() -> str:
    """The document as JSON."""
    return json.dumps(document(), ensure_ascii=False, separators=(",", ":"))


def document() -> dict[str, Any]:
    """The document: one operation a route and method, one webhook a kind of event."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"/{operation.path}", {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Visionloop",
            "version": __version__,
            "summary": "Keeps a computer-vision model trained and live by itself",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api"}],
        "security": [{name: []} for name in _KEYS],
        "paths": paths,
        "webhooks": {f"{PREFIX}{kind}": _event(kind, said) for kind, said in KINDS.items()},
        "components": {"schemas": shapes(), "securitySchemes": {**_KEYS, **_CLIENT_KEYS}},
    }


def _operation(found: Operation) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "operationId": found.function,
        "tags": [found.tag],
        "summary": found.summary,
        "parameters": _parameters(found),
        "responses": _responses(found),
    }
    if found.sends:
        shown["requestBody"] = {"required": found.needs_body, "content": _content(found.sends)}
    if found.by_client:
        return {**shown, "security": [{name: []} for name in _CLIENT_KEYS]}
    return {**shown, "security": []} if found.is_open else shown


def _parameters(found: Operation) -> list[Parameter]:
    in_path = [{**PATH[name], "required": True} for name in re.findall(r"\{(\w+)\}", found.path)]
    return in_path + [NAMED[name] for name in found.parameters]


def _responses(found: Operation) -> dict[str, Any]:
    answers = {str(status): _response(status, content) for status, content in found.answers.items()}
    for status in found.errors:
        shown = answers.setdefault(str(status), _response(status, {}))
        shown.setdefault("content", {})[CONTENT_TYPE] = {"schema": ref("ProblemDetails")}
    if not found.is_open:
        answers["401"] = {"description": "No key, or a wrong one: the host's own answer, without a body"}
    return dict(sorted(answers.items()))


def _response(status: int, content: Content) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if status in _RETRIED:
        shown["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return {**shown, "content": _content(content)} if content else shown


def _content(content: Content) -> dict[str, Any]:
    return {kind: {} if name == "bytes" else {"schema": _schema(name)} for kind, name in content.items()}


def _schema(name: str) -> Shape:
    return TEXT if name == "text" else ref(name)


def _event(kind: str, said: str) -> Mapping[str, Any]:
    """A CloudEvent 1.0 in structured mode, signed as Standard Webhooks asks."""
    told = record(needed=2, type={"const": f"{PREFIX}{kind}"}, data=ref(event_shape(kind)), dataschema=TEXT)
    shape = {"allOf": [ref("Event"), told]}
    headers = [{"name": n, "in": "header", "required": True, "schema": TEXT} for n in _EVENT_HEADERS]
    return {
        "post": {
            "operationId": f"on_{kind.replace('.', '_')}",
            "tags": ["events"],
            "summary": said,
            "parameters": headers,
            "requestBody": {"required": True, "content": {"application/cloudevents+json": {"schema": shape}}},
            "responses": {
                "2XX": {"description": "Delivered"},
                "410": {"description": "Send nothing more"},
                "default": {"description": "Sent again later"},
            },
            "security": [],
        }
    }
