"""Beside each of two thousand changes of the code, properties look at few examples, the same ones at every run."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "mutation",
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
)
