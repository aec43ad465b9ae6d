"""Calls one slot of an online endpoint over plain HTTP, for the controller, whose work is in threads.

Predictions for users go by services/cloud/async_scoring.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.client import IncompleteRead

import urllib3

from services.cloud.endpoint_token import bearer
from services.cloud.http import target
from services.cloud.scoring_contract import (
    CONNECT_SECONDS,
    broken,
    check_status,
    read_answer,
    request_headers,
    request_pieces,
    too_late,
)
from services.errors import VisionloopError


class EndpointScorer:
    """The `Scorer` of real endpoints; safe to share between threads."""

    def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """See `Scorer.score`."""
        answer = self.forward(scoring_uri, slot, b"".join(request_pieces(images)), deadline=deadline)
        return read_answer(answer, len(images), slot)

    def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """See `Scorer.forward`."""
        answer = self._post(scoring_uri, slot, body, deadline)
        check_status(answer.status, answer.headers, answer.data, slot)
        return answer.data

    def _post(self, uri: str, slot: str, body: bytes, deadline: float) -> urllib3.BaseHTTPResponse:
        address, taken = bearer(uri)
        headers = request_headers(slot, taken)
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
        return too_late(slot, deadline)
    return broken(error, slot, answered=isinstance(error.__cause__, IncompleteRead))
