"""For every unit test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No search for cycles frees anything."""
    gc.collect()
    gc.disable()
    yield None
    gc.enable()
