"""For what is sent to slots."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from services.cloud import endpoint_token
from tests.support.scored_slot import Slot


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    monkeypatch.setattr(endpoint_token, "token", lambda resource: f"token-for-{resource}")
    server = Slot()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
