"""Parameters of operations by a name of our own, and those in paths by the name that routes give them."""

from __future__ import annotations

from typing import Any

from services.export.exports import MOST as MOST_EXPORTED
from services.inference.wishes import MOST_RESULTS
from services.names import LOOP

Parameter = dict[str, Any]


def _one(place: str, name: str, description: str, **schema: Any) -> Parameter:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string", **schema}}


def _query(name: str, description: str, **schema: Any) -> Parameter:
    return _one("query", name, description, **schema)


PATH: dict[str, Parameter] = {
    "loop": _one("path", "loop", "A loop's name", pattern=f"^{LOOP.pattern}$"),
    "number": _one("path", "number", "A training run's number"),
    "version": _one("path", "version", "A version: of a model, or the number of a dataset's"),
    "id": _one("path", "id", "An id that an answer gave"),
    "type": _one("path", "type", "A type of events, such as `visionloop.training.started`"),
    "delivery": _one("path", "delivery", "A delivery's id"),
    "word": _one("path", "word", "What is asked for", enum=["promote", "rollback", "hold", "resume"]),
    "probe": _one("path", "probe", "What is asked", enum=["live", "ready"]),
}
NAMED: dict[str, Parameter] = {
    "threshold": _query("threshold", "Only predictions at least this certain", type="number", minimum=0, maximum=1),
    "top_k": _query("top_k", "Only so many an image", type="integer", minimum=1, maximum=MOST_RESULTS),
    "slot": _query("slot", "Ask the model in this slot", enum=["blue", "green"]),
    "version": _query("version", "Ask this version"),
    "render": _query("render", "Answer with the picture, boxes drawn", enum=["false", "true", "png", "jpeg"]),
    "notify": _query("notify", "A webhook's id that is told when a prediction made later is done"),
    "limit": _query("limit", "Most rows of a page", type="integer", minimum=1),
    "offset": _query("offset", "Rows to leave out", type="integer", minimum=0),
    "before": _query("before", "The last answer's `next`"),
    "severity": _query("severity", "Only these", enum=["error", "warning", "note"]),
    "code": _query("code", "Only problems of this code"),
    "metric": _query("metric", "A metric's name"),
    "kind": _query("kind", "Which change"),
    "token": _query("token", "The signed token of the link"),
    "agreement": _query("token", "The secret of the address that a receiver was given"),
    "allowed_rate": _one("header", "WebHook-Allowed-Rate", "Requests a minute that are permitted, or `*`"),
    "deep": _query("deep", "Also read from storage", enum=["true", "false"]),
    "card_format": _query("format", "The card as", enum=["json", "md"]),
    "runs_format": _query("format", "A picture instead of JSON", enum=["svg"]),
    "export_format": _query("format", "The other tool's format", enum=["coco", "jsonl", "yolo"]),
    "range": _one("header", "Range", f"A range of at most {MOST_EXPORTED} bytes (RFC 9110)"),
    "prefer": _one("header", "Prefer", "`wait=<seconds>` or `respond-async` (RFC 7240)"),
    "deadline": _one("header", "x-deadline-ms", "Needed within so many milliseconds", type="integer", minimum=1),
    "client": _one("header", "x-client-key", "Requests of one key stay with one slot"),
    "idempotency": _one("header", "Idempotency-Key", "With respond-async: the same key is the same prediction"),
}
