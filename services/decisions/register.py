"""When a dataset version is registered: once per content, and once per burst of uploads.

Times in reasons are points in time, not durations, so that an unchanged situation reads the same at every look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.decisions.decision import Decision, held
from services.loop_config import LoopConfig
from services.state import CatalogueState, DatasetVersion, LoopState
from services.words import numbered

FEWEST_IMAGES = 10
"""AutoML for Images refuses fewer."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules are asked about; `versions` are the registered ones, the current one last."""

    catalogue: CatalogueState
    versions: Sequence[DatasetVersion]
    config: LoopConfig
    now: datetime
    paused: str = ""
    """Why the loop is paused, where it is."""

    @property
    def same_content(self) -> DatasetVersion | None:
        """The version that holds what the catalogue holds now."""
        content = self.catalogue.content_hash
        return next((v for v in reversed(self.versions) if v.content_hash == content), None)


Rule = Callable[[Facts], Decision | None]


def facts_of(state: LoopState, now: datetime) -> Facts:
    """The facts of a loop."""
    registered = [v for v in state.datasets if v.status == "registered"]
    return Facts(state.catalogue, registered, state.config.config, now, state.paused)


def decide(facts: Facts) -> Decision:
    """Register a version (or, by `facts["reuse"]`, make an older one of the same content current), or hold."""
    if holds := next(held(RULES, facts), None):
        return holds
    if same := facts.same_content:
        return Decision(act=True, reason=f"The labels are those of version {same.number} again", facts=_reuse(same))
    images, classes = facts.catalogue.labelled, len(facts.catalogue.classes)
    return Decision(
        act=True, reason=f"{images} labelled images of {numbered(classes, 'class', 'classes')} are new as a whole"
    )


def _reuse(version: DatasetVersion) -> dict[str, object]:
    return {"reuse": version.number}


def _paused(facts: Facts) -> Decision | None:
    return _hold(facts.paused) if facts.paused else None


def _nothing_labelled(facts: Facts) -> Decision | None:
    found = facts.catalogue
    if found.labelled:
        return None
    if not found.images:
        return _hold("There are no images yet")
    waits = "waits" if found.waiting_labels == 1 else "wait"
    waiting = f", {numbered(found.waiting_labels, 'label')} {waits} for their image" if found.waiting_labels else ""
    none = "The one image is not" if found.images == 1 else f"None of {found.images:,} images is"
    return _hold(f"{none} labelled yet{waiting}")


def _nothing_new(facts: Facts) -> Decision | None:
    current = facts.versions[-1] if facts.versions else None
    if current is None or current.content_hash != facts.catalogue.content_hash:
        return None
    return _hold(f"Version {current.number} holds all {current.images} labelled images")


def _too_few(facts: Facts) -> Decision | None:
    if facts.catalogue.labelled >= FEWEST_IMAGES:
        return None
    return _hold(f"{facts.catalogue.labelled} of {FEWEST_IMAGES} labelled images that AutoML asks for")


def _both_sides(facts: Facts) -> Decision | None:
    found = facts.catalogue
    if found.train_images and found.validation_images:
        return None
    missing = "validation" if found.train_images else "training"
    return _hold(f"No image is for {missing}: at least one class needs two labelled images")


def _quiet(facts: Facts) -> Decision | None:
    """A clock that went backwards makes nothing wait longer than once more."""
    if not facts.catalogue.labelled or any(rule(facts) for rule in (_nothing_new, _too_few, _both_sides)):
        return None  # no version would be made then, whatever is uploaded or not
    quiet, longest = facts.config.quiet_period_seconds, facts.config.max_wait_seconds
    last = min(facts.catalogue.last_change or facts.now, facts.now)
    first = min(facts.catalogue.first_change or last, last)
    due = min(last + timedelta(seconds=quiet), first + timedelta(seconds=longest))
    if due <= facts.now:
        return None
    reason = f"Uploads may go on: a version is made at {due:%H:%M:%S} UTC unless more is uploaded before"
    return Decision(act=False, reason=reason, again_in=(due - facts.now).total_seconds())


RULES: Mapping[str, Rule] = {
    "paused": _paused,
    "nothing_labelled": _nothing_labelled,
    "nothing_new": _nothing_new,
    "too_few": _too_few,
    "both_sides": _both_sides,
    "quiet": _quiet,
}


def _hold(reason: str) -> Decision:
    return Decision(act=False, reason=reason)
