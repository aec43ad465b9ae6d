"""Calls one slot of an online endpoint over plain HTTP: no SDK, as this is on the way of every prediction.

The contract is Azure ML's for AutoML image models:
https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema#online-scoring-data-format
The header `azureml-model-deployment` addresses a slot whatever the traffic is.
"""

from __future__ import annotations

from collections.abc import Sequence

import pybase64
import urllib3
from pydantic_core import from_json

from services.cloud.endpoint_token import bearer
from services.cloud.http import target
from services.cloud.upstream import upstream_error
from services.errors import Upstream, UpstreamRefused, UpstreamTimeout, UpstreamUnreached, VisionloopError

CONNECT_SECONDS = 10.0
_HEAD = b'{"input_data": {"columns": ["image"], "data": ["'
_TAIL = b'"]}}'


def request_body(images: Sequence[bytes]) -> bytes:
    """The JSON of a scoring request. Base64 needs no escaping, so the parts are joined as bytes."""
    return b"".join((_HEAD, b'", "'.join(pybase64.b64encode(image) for image in images), _TAIL))


class EndpointScorer:
    """The `Scorer` of real endpoints; safe to share between threads."""

    def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """See `Scorer.score`.

        Raises:
            NotFound: no such endpoint or slot.
            UpstreamRefused: the slot does not take these images.
            UpstreamBusy: with `retry_after` where the endpoint said.
            UpstreamTimeout: no answer within the deadline.
            UpstreamUnreached: no connection, or one that broke before an answer.
            Upstream: anything else, an answer of another shape included.
        """
        answer = self.forward(scoring_uri, slot, request_body(images), deadline=deadline)
        return _read(answer, len(images), slot)

    def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """See `Scorer.forward`; raises what `score` raises."""
        answer = self._post(scoring_uri, slot, body, deadline)
        if answer.status != 200:
            raise _error(answer, slot)
        return answer.data

    def _post(self, uri: str, slot: str, body: bytes, deadline: float) -> urllib3.BaseHTTPResponse:
        address, taken = bearer(uri)
        headers = {
            "Authorization": f"Bearer {taken}",
            "Content-Type": "application/json",
            "azureml-model-deployment": slot,
        }
        limit = urllib3.Timeout(connect=min(CONNECT_SECONDS, deadline), read=deadline, total=deadline)
        try:
            connections, path = target(address)
            return connections.urlopen(
                "POST", path, body, headers, retries=False, redirect=False, assert_same_host=False, timeout=limit
            )
        except urllib3.exceptions.MaxRetryError as error:
            raise _unreached(error.reason or error, slot, deadline) from error
        except urllib3.exceptions.HTTPError as error:
            raise _unreached(error, slot, deadline) from error


def _unreached(error: Exception, slot: str, deadline: float) -> VisionloopError:
    nobody = isinstance(error, urllib3.exceptions.NewConnectionError)  # which urllib3 counts among the time-outs
    if isinstance(error, urllib3.exceptions.TimeoutError) and not nobody:
        return UpstreamTimeout(f"Slot {slot} did not answer within {deadline:g} s")
    kind = Upstream if isinstance(error, urllib3.exceptions.IncompleteRead) else UpstreamUnreached
    return kind(f"Slot {slot} could not be reached: {type(error).__name__}")


def _error(answer: urllib3.BaseHTTPResponse, slot: str) -> VisionloopError:
    """424 is Azure ML's wrapping of an error of the model, whose own status is in a header."""
    own = answer.headers.get("ms-azureml-model-error-statuscode", "")
    status = int(own) if answer.status == 424 and own.isdecimal() else answer.status
    said = "" if status in (401, 403) else answer.data[:2000].decode(errors="replace")
    return upstream_error(status, answer.headers, f"Scoring by slot {slot}", said)


def _read(data: bytes, count: int, slot: str) -> list[dict[str, object]]:
    try:
        found = from_json(data, allow_inf_nan=False)
    except ValueError:
        raise Upstream(f"Slot {slot} did not answer in JSON") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Upstream(f"Slot {slot} answered another shape: expected a list of one object an image")
    if len(found) != count:
        raise UpstreamRefused(f"Slot {slot} answered {len(found)} objects for {count} images")
    return found
