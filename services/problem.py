"""The one shape of every error over HTTP: problem details, RFC 9457."""

from __future__ import annotations

import json
import logging
import uuid

from services.errors import VisionloopError

CONTENT_TYPE = "application/problem+json"
log = logging.getLogger(__name__)


def problem(error: Exception) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. What is not ours becomes a 500 with an id that is in the log, and nothing else."""
    if isinstance(error, VisionloopError):
        return _answer(error.status, error.title, error.detail, error.extra)
    number = str(uuid.uuid4())
    log.error("Unexpected error %s", number, exc_info=error)
    return _answer(500, "Internal error", f"Something went wrong here; the log has it as {number}", {"id": number})


def _answer(status: int, title: str, detail: str, extra: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
    headers = {"content-type": CONTENT_TYPE}
    if isinstance(after := extra.get("retry_after"), int | float):
        headers["retry-after"] = str(max(1, round(after)))
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return status, headers, json.dumps(body, default=str).encode()
