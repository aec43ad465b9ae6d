"""For every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.told import held_to_schemas

# a slow machine is no failure, and what CI looks at is the same at each run; `--deep` looks at new examples
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# a shell ignores Ctrl-C for what it starts in the background, and what is started inherits that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _told_as_published() -> Iterator[None]:
    """Whatever test has the product tell something holds it against the schema that is published for it."""
    with held_to_schemas():
        yield
