"""What is sent to one slot of an online endpoint, and what its answer means, whoever carries it.

The contract is Azure ML's for AutoML image models:
https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema#online-scoring-data-format
The header `azureml-model-deployment` addresses a slot whatever the traffic is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pybase64
from pydantic_core import from_json

from services.cloud.upstream import upstream_error
from services.errors import Upstream, UpstreamRefused, UpstreamTimeout, UpstreamUnreached, VisionloopError

CONNECT_SECONDS = 10.0
_HEAD = b'{"input_data": {"columns": ["image"], "data": ["'
_BETWEEN = b'", "'
_TAIL = b'"]}}'


def request_pieces(images: Sequence[bytes]) -> list[bytes]:
    """The JSON of a scoring request, in pieces: base64 needs no escaping, and large ones are not copied."""
    pieces = [_HEAD]
    for image in images:
        pieces += (pybase64.b64encode(image), _BETWEEN)
    return [*pieces[: max(1, len(pieces) - 1)], _TAIL]


def request_headers(slot: str, token: str) -> dict[str, str]:
    """The headers of a scoring request."""
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "azureml-model-deployment": slot,
    }


def check_status(status: int, headers: Mapping[str, str], data: bytes, slot: str) -> None:
    """See that a slot answered with 200; names of `headers` are matched without regard to case.

    Raises:
        VisionloopError: see `Scorer.score`.
    """
    if status == 200:
        return
    # 424 is Azure ML's wrapping of an error of the model, whose own status is in a header
    own = headers.get("ms-azureml-model-error-statuscode", "")
    status = int(own) if status == 424 and re.fullmatch(r"[1-9][0-9]{2}", own) else status
    said = "" if status in (401, 403) else data[:2000].decode(errors="replace")
    raise upstream_error(status, headers, f"Scoring by slot {slot}", said)


def read_answer(data: bytes, count: int, slot: str) -> list[dict[str, object]]:
    """One object for each of `count` images.

    Raises:
        Upstream, UpstreamRefused: the slot answered something else.
    """
    try:
        found = from_json(data, allow_inf_nan=False)
    except ValueError:
        raise Upstream(f"Slot {slot} did not answer in JSON") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Upstream(f"Slot {slot} answered another shape: expected a list of one object an image")
    if len(found) != count:
        raise UpstreamRefused(f"Slot {slot} answered {len(found)} objects for {count} images")
    return found


def too_late(slot: str, deadline: float) -> UpstreamTimeout:
    """No answer within the deadline, in seconds."""
    return UpstreamTimeout(f"Slot {slot} did not answer within {deadline:g} s")


def broken(error: Exception, slot: str, *, answered: bool) -> VisionloopError:
    """There was no connection, or it broke: `answered` says that it did so within an answer."""
    kind = Upstream if answered else UpstreamUnreached
    return kind(f"Slot {slot} could not be reached: {type(error).__name__}")
