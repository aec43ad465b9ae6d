"""The models of a loop that answer now, as champions: the live one, a challenger, the one before."""

from __future__ import annotations

import hashlib

from services.errors import BadRequest, NotFound
from services.state import Champion, LoopState, Rollout

_ANSWERS = frozenset({"evaluate", "decide", "approve", "canary", "shift", "keep", "revert"})
"""Steps of a rollout in which the challenger's slot has answered a smoke request and is not being deleted."""


def challenger(state: LoopState, champion: Champion, rollout: Rollout) -> Champion:
    """The rollout's model as if it were live."""
    version = state.version(rollout.dataset_version)
    changes = {name: getattr(rollout, name) for name in ("run", "model", "dataset_version", "endpoint", "slot")}
    changes |= {"scoring_uri": rollout.scoring_uri, "task": version.task, "classes": version.classes}
    return champion.model_copy(update=changes)


def explicit(state: LoopState, champion: Champion, slot: str, version: str) -> Champion:
    """The model in a slot, or of a version; empty where it is all the same, and then the champion first.

    Raises:
        BadRequest: there is no such slot.
        NotFound: nothing that answers is there.
    """
    if slot not in ("", "blue", "green"):
        raise BadRequest("slot must be blue or green")
    known = answering(state, champion)
    found = [one for one in known if slot in ("", one.slot) and version in ("", one.model.version)]
    if not found:
        has = ", ".join(f"version {one.model.version} in {one.slot}" for one in known)
        raise NotFound(f"No such model of {state.loop} answers now; there is {has}")
    return found[0]


def answering(state: LoopState, champion: Champion) -> list[Champion]:
    """All models that answer now, the champion first."""
    rollout = state.rollout
    if rollout is None or rollout.step not in _ANSWERS or not rollout.scoring_uri:
        return [champion]
    others = [challenger(state, champion, rollout), rollout.replaced]
    return [champion, *(one for one in others if one is not None and slot_key(one) != slot_key(champion))]


def slot_key(model: Champion) -> str:
    """One text a slot of an endpoint; the slot's name comes last."""
    return f"{model.scoring_uri} {model.slot}"


def place(client: str, salt: str) -> float:
    """Where a client falls in [0, 1): always the same for one salt, and as good as random over clients and salts."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{client}".encode(), digest_size=6).digest()) / 2**48
