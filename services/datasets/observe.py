"""Brings the state's summary of the catalogue to what storage holds now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.catalogue.documents import FORMAT, MOST_PROBLEMS, Index, Summary
from services.catalogue.kept import what_is_kept
from services.catalogue.lint import TOLD, lint, whole
from services.catalogue.listing import Listing
from services.catalogue.reading import FileReader
from services.catalogue.refresh import Catalogue, Refreshed
from services.catalogue.store import CatalogueStore, Splits
from services.context import LoopContext
from services.datasets.members import recovered_splits
from services.datasets.splits import NEGATIVE
from services.labels.problems import worst_first
from services.loop_config import LoopConfig
from services.names import digest
from services.state import CatalogueState, Problem

SPARE_SECONDS = 10.0
"""Kept of a wake's time to write what was read."""
SLICE_SECONDS = 30.0
"""What was read is committed this often, whatever time is left: a process that is killed loses no more."""
CHANGING_SECONDS = 5.0
"""Files that changed while they were read are read again this much later."""
MOST_TOLD = 20


def observe(context: LoopContext) -> float | None:
    """Look at the listing, and read what changed.

    Returns:
        None where the catalogue is as storage is, else when to look again.
    """
    listing = Listing.of(context.loop, context.cloud.data.list(f"{context.loop}/"))
    if context.state.catalogue.code_digest != listing.code:
        context.state.catalogue.code_digest = listing.code
        context.save()
    fingerprint = listing.fingerprint(_config_digest(context.config), f"format {FORMAT}")
    if context.state.catalogue.fingerprint == fingerprint:
        return None
    store = CatalogueStore(context.cloud.system, context.loop)
    refreshed = _catalogue(context, store).refresh(listing, context.state.catalogue.blob, context.config)
    wait = _take(context, refreshed, store.written(refreshed.blob), fingerprint)
    context.save()
    store.clean(refreshed.blob, refreshed.index)
    return wait


def _config_digest(config: LoopConfig) -> str:
    return json.dumps([config.task, config.classes, config.labels.coordinates])


def _catalogue(context: LoopContext, store: CatalogueStore) -> Catalogue:
    def recover() -> Splits:
        return recovered_splits(context.cloud.system, context.loop, context.state.datasets)

    least = max(SPARE_SECONDS, context.time_left() - SLICE_SECONDS)
    reader = FileReader(context.cloud.data, context.cloud.settings)
    return Catalogue(store, reader, lambda: context.time_left() > least, recover)


def _take(context: LoopContext, refreshed: Refreshed, written: float | None, fingerprint: str) -> float | None:
    old, wait = context.state.catalogue, 0.0 if refreshed.out_of_time else None
    if refreshed.out_of_time:
        new = old.model_copy(update={"blob": refreshed.blob, "fingerprint": ""})
        read = len(refreshed.changes.fresh) - refreshed.unread
        context.state.reasons["dataset"] = f"Read {read} of {len(refreshed.changes.fresh)} changed files so far"
    else:
        new = summary_state(refreshed, context.config)
        wait = CHANGING_SECONDS if refreshed.unread else None
        new.fingerprint = "" if refreshed.unread else fingerprint
        new.code_digest = old.code_digest
        context.state.reasons["task"] = refreshed.inference.reason
        _tell_problems(context, old, new)
    context.state.catalogue = new
    _set_times(context, old, _moment(refreshed, written, context.now))
    return wait


def summary_state(refreshed: Refreshed, config: LoopConfig) -> CatalogueState:
    """The whole catalogue in one small part of the state."""
    summaries = [ref.summary for ref in refreshed.index.buckets]
    annotations = _total([s.annotations for s in summaries])
    classes = list(config.classes or sorted(annotations))
    totals, rules = _total([s.totals for s in summaries]), refreshed.inference.view.rules
    return CatalogueState(
        blob=refreshed.blob,
        images=sum(s.images for s in summaries),
        labelled=sum(s.labelled for s in summaries),
        negatives=sum(s.negatives for s in summaries),
        train_images=totals["train"],
        validation_images=totals["validation"],
        waiting_labels=sum(s.waiting for s in summaries),
        quarantined=sum(s.quarantined for s in summaries),
        annotations_per_class={name: annotations[name] for name in classes},
        images_per_class=_images_per_class(summaries, classes),
        task=rules.task if rules else None,
        classes=classes,
        content_hash=_content_hash(refreshed.index, rules.task if rules else "", classes),
        problems=worst_first([p for s in summaries for p in s.problems], MOST_PROBLEMS),
        problem_count=sum(s.problem_count for s in summaries),
        dataset_problems=lint(whole(refreshed.index, config.classes)),
    )


def _total(counts: list[dict[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return found


def _images_per_class(summaries: list[Summary], classes: list[str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, sides in ((n, s) for summary in summaries for n, s in summary.sides.items() if n != NEGATIVE):
        found[name] += sum(sides.values())
    return {name: found[name] for name in classes}


def _content_hash(index: Index, task: str, classes: list[str]) -> str:
    total = sum(int(ref.summary.content, 16) for ref in index.buckets) % (1 << 128)
    return digest(task, *classes, f"{total:x}", length=32)


def _tell_problems(context: LoopContext, old: CatalogueState, new: CatalogueState) -> None:
    """Tell of what is left out, and of what would spoil a training run, each thing once."""
    before = {_identity(p) for p in (*old.problems, *old.dataset_problems)}
    worth = [p for p in new.problems if p.severity == "error" or what_is_kept(p)]
    worth += (p for p in new.dataset_problems if p.code in TOLD)
    fresh = [p for p in worth if _identity(p) not in before]
    if fresh:
        first = fresh[0]
        where = f"{first.file} {first.place}".strip()
        reason = f"{first.code} in {where}: expected {first.expected}, found {first.found}"
        if kept := what_is_kept(first):
            reason = f"{reason}. {kept}"
        listed: list[Mapping[str, object]] = [p.model_dump() for p in fresh[:MOST_TOLD]]
        context.tell("catalogue.problems", reason, count=new.problem_count, new=len(fresh), problems=listed)


def _identity(found: Problem) -> tuple[str, str, str, str]:
    """What is found of the whole data set are counts, which every upload changes."""
    return found.code, found.file, found.place, "" if found.code in TOLD else found.found


def _moment(refreshed: Refreshed, written: float | None, now: datetime) -> datetime:
    """When the newest change was made, by our clock.

    Uploads are stamped by storage, whose clock may differ from ours: their age is taken against the stamp of what was
    just written there. What leaves no stamp, a deletion or new settings, was made now.
    """
    stamps = [blob.modified.timestamp() for blob in refreshed.changes.fresh.values()]
    if written is None or refreshed.changes.gone or not stamps:
        return now
    return now - timedelta(seconds=max(0.0, written - max(stamps)))


def _set_times(context: LoopContext, old: CatalogueState, moment: datetime) -> None:
    """A burst begins with the first change after a quiet period; a version that holds everything ends it."""
    new, current = context.state.catalogue, context.state.dataset
    if current is not None and current.content_hash == new.content_hash:
        new.first_change = new.last_change = None
        return
    quiet = timedelta(seconds=context.config.quiet_period_seconds)
    last = max(moment, min(old.last_change or moment, context.now))
    going_on = old.first_change is not None and old.last_change is not None and last - old.last_change <= quiet
    new.first_change, new.last_change = (old.first_change if going_on else last), last
