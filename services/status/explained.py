"""An explanation of a loop's decisions as JSON: what would happen now, and what is missing for it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from services.decisions import register
from services.decisions.explain import explain
from services.decisions.explanation import Explanation
from services.state import LoopState
from services.training.facts import facts_of


def explained(state: LoopState, now: datetime, prices: str = "") -> dict[str, Any]:
    """The parts of a loop by name, and all of it in sentences."""
    parts = explain(register.facts_of(state, now), facts_of(state, now, prices))
    lines = [line for part in parts for line in part.sentences()]
    return {"loop": state.loop, "parts": [_shown(part) for part in parts], "sentences": lines}


def _shown(part: Explanation) -> dict[str, Any]:
    return {"part": part.part, "acts": part.acts, **{k: v for k, v in asdict(part).items() if k != "part"}}
