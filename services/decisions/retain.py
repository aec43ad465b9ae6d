"""Which dataset version is no longer kept. Pure."""

from __future__ import annotations

from services.decisions.decision import Decision
from services.state import LoopState


def decide(state: LoopState) -> Decision:
    """Archive the oldest version (`facts["version"]`) that neither the limit nor anything in use keeps, or hold."""
    limit = state.config.config.retention.dataset_versions
    finished = [v for v in state.datasets if v.status == "registered"]
    if not limit or len(finished) <= limit:
        return Decision(act=False, reason=f"{len(finished)} dataset versions, all of them kept")
    used = in_use(state)
    for version in finished[:-limit]:
        if version.number not in used:
            reason = f"Version {version.number} is beyond the {limit} that loop.yaml keeps, and nothing goes by it"
            return Decision(act=True, reason=reason, facts={"version": version.number})
    return Decision(act=False, reason=f"{len(finished)} dataset versions, those beyond {limit} are in use")


def in_use(state: LoopState) -> set[int]:
    """Versions of runs (any of which a person may promote), of the rollout, of the champion, and the highest number.

    The number after the highest is the next version's: it must not be one that was taken before.
    """
    used = {run.dataset_version for run in state.runs} | {max((v.number for v in state.datasets), default=0)}
    if state.champion:
        used.add(state.champion.dataset_version)
    if state.rollout:
        used.add(state.rollout.dataset_version)
    return used
