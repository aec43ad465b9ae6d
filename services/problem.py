"""The one shape of every error over HTTP: problem details, RFC 9457."""

from __future__ import annotations

import json
import logging
import re
import uuid

from services.errors import VisionloopError

CONTENT_TYPE = "application/problem+json"
log = logging.getLogger(__name__)


def problem(error: Exception) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. What is not ours becomes a 500 with an id that is in the log, and nothing else."""
    if isinstance(error, VisionloopError):
        return _answer(type(error), error.detail, error.extra)
    number = str(uuid.uuid4())
    log.error("Unexpected error %s", number, exc_info=error)
    detail = f"Something went wrong here; the log has it as {number}"
    return _answer(VisionloopError, detail, {"correlation_id": number})


def kind_of(error: type[VisionloopError]) -> str:
    """The member `type`: what a program tells errors of one status apart by, such as `…:no-champion`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", error.__name__).lower()
    return "urn:visionloop:problem:" + ("internal-error" if error is VisionloopError else words)


def _answer(kind: type[VisionloopError], detail: str, extra: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
    headers = {"content-type": CONTENT_TYPE}
    if isinstance(after := extra.get("retry_after"), int | float):
        headers["retry-after"] = str(max(1, round(after)))
    if kind.status == 401:
        headers["www-authenticate"] = 'Bearer realm="visionloop"'  # RFC 9110, 15.5.2: a 401 says how to do better
    members = {"type": kind_of(kind), "title": kind.title, "status": kind.status, "detail": detail}
    body = {**members, **extra, **members}  # those that all have come first, and win
    return kind.status, headers, json.dumps(body, default=str, ensure_ascii=False).encode("utf-8", "replace")
