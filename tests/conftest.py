"""For every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.told import held_to_schemas

# a shell ignores Ctrl-C for what it starts in the background, and what is started inherits that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _told_as_published() -> Iterator[None]:
    """Whatever test has the product tell something holds it against the schema that is published for it."""
    with held_to_schemas():
        yield
