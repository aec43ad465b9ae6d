"""Calls one slot of an online endpoint over plain HTTP, for the controller, whose work is in threads.

Predictions for users go by services/cloud/async_scoring.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.client import HTTPException, RemoteDisconnected

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
        try:
            data = answer.data
        except urllib3.exceptions.HTTPError as error:
            raise _trouble(error, slot, deadline, answered=True) from error
        check_status(answer.status, answer.headers, data, slot)
        return data

    def _post(self, uri: str, slot: str, body: bytes, deadline: float) -> urllib3.BaseHTTPResponse:
        """The head of an answer; its body is yet to come."""
        address, taken = bearer(uri)
        headers = request_headers(slot, taken)
        limit = urllib3.Timeout(connect=min(CONNECT_SECONDS, deadline), read=deadline, total=deadline)
        try:
            connections, path = target(address)
            return connections.urlopen(
                "POST", path, body, headers, retries=False, redirect=False, assert_same_host=False, timeout=limit,
                preload_content=False,
            )  # fmt: skip
        except urllib3.exceptions.MaxRetryError as error:
            raise _trouble(error.reason or error, slot, deadline, answered=False) from error
        except urllib3.exceptions.HTTPError as error:
            raise _trouble(error, slot, deadline, answered=_said_something(error)) from error


def _said_something(error: Exception) -> bool:
    """Whether what began to come was not HTTP; where nothing comes at all, Python says that too."""
    return any(isinstance(one, HTTPException) and not isinstance(one, RemoteDisconnected) for one in error.args)


def _trouble(error: Exception, slot: str, deadline: float, *, answered: bool) -> VisionloopError:
    nobody = isinstance(error, urllib3.exceptions.NewConnectionError)  # which urllib3 counts among the time-outs
    if isinstance(error, urllib3.exceptions.TimeoutError) and not nobody:
        return too_late(slot, deadline)
    return broken(error, slot, answered=answered)
