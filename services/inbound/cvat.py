"""CVAT's webhooks: which job of whose is done; what it holds is looked up, as no message of CVAT's has it.

Contract: CVAT, "Webhooks": `X-Signature-256` is `sha256=` and the hexadecimal HMAC-SHA256 of the body under its
secret. There is no time and no id of a message in the headers; the job's `updated_date` stands for both.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.errors import BadRequest, Forged
from services.inbound.cvat_job import Documents, changed_at

HEADER = "x-signature-256"
_EVENTS = {"create:job", "update:job"}
_CARRIED = ("annotations", "meta", "labels")


@dataclass(frozen=True, slots=True)
class Announced:
    """A job that is done."""

    job: int
    at: datetime
    """When it was changed last."""
    documents: Documents | None
    """What the job holds, where the message carries it."""


def check_signature(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> None:
    """See that a body is signed with one of the source's secrets.

    Raises:
        Forged: it is not.
    """
    right = ["sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    said = headers.get(HEADER, "").encode(errors="replace")
    if not any([hmac.compare_digest(each.encode(), said) for each in right]):  # noqa: C419  # all are compared
        raise Forged(f"The header {HEADER} does not fit the body and the secret of this source")


def announced(body: bytes) -> Announced | None:
    """The job that a message says is completed; None where it is about anything else, as most messages are; pure.

    A sender that CVAT's messages pass through may add `annotations`, `meta` and `labels`, as CVAT's API has them.

    Raises:
        BadRequest: it is no message of CVAT.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("The body must be JSON, as CVAT's webhooks send it") from None
    if not isinstance(message, dict) or not isinstance(message.get("event"), str):
        raise BadRequest("The body must be an object with an event, as CVAT's webhooks send it")
    if message["event"] not in _EVENTS:
        return None
    job = message.get("job")
    if not isinstance(job, dict) or isinstance(job.get("id"), bool) or not isinstance(job.get("id"), int):
        raise BadRequest("job.id: a number is expected")
    return Announced(job["id"], changed_at(job), _carried(message, job)) if is_completed(job) else None


def is_completed(job: Any) -> bool:
    """Whether its annotations are final for now: a job that is opened again is completed again.

    A replica of a consensus is one of several opinions, which CVAT merges into the job that it is a replica of.
    """
    return isinstance(job, dict) and job.get("state") == "completed" and job.get("type") != "consensus_replica"


def _carried(message: Mapping[str, Any], job: Any) -> Documents | None:
    if not any(name in message for name in _CARRIED):
        return None
    if missing := [name for name in _CARRIED if name not in message]:
        raise BadRequest(f"{missing[0]}: it is expected beside {', '.join(_CARRIED)}, as CVAT's API has it")
    labels = message["labels"]
    return Documents(job, message["annotations"], message["meta"], _results(labels))


def _results(labels: Any) -> Any:
    return labels.get("results") if isinstance(labels, dict) else labels
