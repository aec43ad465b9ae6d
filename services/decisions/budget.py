"""What training costs: GPU hours and money, spent in the last 30 days and estimated for the next run.

Prices are list prices of one machine an hour, pay as you go, Linux, East US, in US dollars; other regions differ. They
are Azure's, of its retail prices API (https://prices.azure.com/api/retail/prices), by the copy in SkyPilot's catalogue
(skypilot-org/skypilot-catalog, catalogs/v5/azure/az_ml_vms.csv at a7fff17), compared on 2026-11-21. Replace them by
`VISIONLOOP_MACHINE_PRICES` or `training.budget.price_per_gpu_hour`. A machine that is not listed counts as one GPU,
without a price; so does one that has none, with its price.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from services.state import TrainingRun
from services.training_config import Training
from services.words import numbered

MONTH = timedelta(days=30)
RECENT_RUNS = 3
"""So many of the last completed runs say how long the next one takes."""
MOST_SCALED = 2
"""A run on so many times the images, or a fraction of them, is no measure."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A size of virtual machine: its GPUs, and its price for an hour where it is known."""

    gpus: int = 1
    price: float | None = None


UNLISTED = Machine()
MACHINES: Mapping[str, Machine] = {
    "standard_ds2_v2": Machine(1, 0.146),
    "standard_ds3_v2": Machine(1, 0.293),
    "standard_ds4_v2": Machine(1, 0.585),
    "standard_f2s_v2": Machine(1, 0.0846),
    "standard_f4s_v2": Machine(1, 0.169),
    "standard_f8s_v2": Machine(1, 0.338),
    "standard_nc4as_t4_v3": Machine(1, 0.526),
    "standard_nc8as_t4_v3": Machine(1, 0.752),
    "standard_nc16as_t4_v3": Machine(1, 1.204),
    "standard_nc64as_t4_v3": Machine(4, 4.352),
    "standard_nc6s_v3": Machine(1, 3.06),
    "standard_nc12s_v3": Machine(2, 6.12),
    "standard_nc24s_v3": Machine(4, 12.24),
    "standard_nc24ads_a100_v4": Machine(1, 3.673),
    "standard_nc48ads_a100_v4": Machine(2, 7.346),
    "standard_nc96ads_a100_v4": Machine(4, 14.692),
    "standard_nc40ads_h100_v5": Machine(1, 6.98),
    "standard_nc80adis_h100_v5": Machine(2, 13.96),
    "standard_nd40rs_v2": Machine(8, 22.032),
    "standard_nd96asr_v4": Machine(8, 27.197),
}
_ENTRY = re.compile(r"\s*(?P<size>\w+)\s*=\s*(?P<price>\d+(\.\d+)?)\s*(/\s*(?P<gpus>[1-9]\d?)\s*)?")


def read_prices(text: str) -> dict[str, Machine]:
    """The price list of a setting, such as `Standard_NC4as_T4_v3=0.48, My_Size=2.5/4`: price an hour, and GPUs.

    Raises:
        ValueError: naming the entry that cannot be read.
    """
    found = {}
    for entry in filter(str.strip, text.split(",")):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"expected SIZE=PRICE or SIZE=PRICE/GPUS, found {entry.strip()[:60]!r}")
        size = match["size"].lower()
        gpus = int(match["gpus"]) if match["gpus"] else MACHINES.get(size, UNLISTED).gpus
        found[size] = Machine(gpus, float(match["price"]))
    return found


def machine_of(size: str, prices: str = "") -> Machine:
    """A size as the setting prices it, else as it is listed here."""
    listed = {**MACHINES, **read_prices(prices)}
    return listed.get(size.lower(), UNLISTED)


def machines(training: Training) -> int:
    """Machines that a run may use at once: one a trial, as many as the cluster has; one for a script."""
    limits = training.limits
    if training.kind == "command":
        return 1
    return min(limits.max_concurrent_trials, limits.max_trials, training.compute.max_nodes)


def price_per_gpu_hour(training: Training, machine: Machine) -> float | None:
    """What a GPU costs for an hour, where it is known."""
    if training.budget.price_per_gpu_hour is not None:
        return training.budget.price_per_gpu_hour
    return None if machine.price is None else machine.price / machine.gpus


@dataclass(frozen=True, slots=True)
class Estimate:
    """GPU hours and money of the next run at most, and what the estimate is based on, in words."""

    gpu_hours: float
    cost: float | None
    basis: str


def estimate(
    runs: Sequence[TrainingRun], training: Training, machine: Machine, pace: str = "", images: int = 0
) -> Estimate:
    """From how long the last runs took that were alike; never more than the job's time-out.

    `pace` is the hash of the settings that the next run's duration depends on, `images` those of its dataset version.
    """
    longest, at_once = training.limits.timeout_minutes / 60, machines(training)
    took, of_what = _took(runs, pace, images)
    hours = min(took or longest, longest)
    total = hours * at_once * machine.gpus
    price = price_per_gpu_hour(training, machine)
    basis = f"{hours:.2f} h, {of_what}, times {numbered(at_once, 'machine')} of {machine.gpus} GPU"
    return Estimate(total, None if price is None else total * price, basis)


def _took(runs: Sequence[TrainingRun], pace: str, images: int) -> tuple[float | None, str]:
    """Hours, and by what: runs of the same pace, scaled by their images, else a guess by any, else nothing."""
    completed = [run for run in runs if run.status == "completed" and _duration(run)]
    alike = [run for run in completed if run.pace == pace and _is_near(run.images, images)][-RECENT_RUNS:]
    if pace and alike:
        scaled = "" if {run.images for run in alike} == {images} else f", scaled to {numbered(images, 'image')}"
        said = f"median of the last {numbered(len(alike), 'completed run')} with these settings{scaled}"
        return median(_duration(run) * images / run.images for run in alike), said
    others = completed[-RECENT_RUNS:]
    if not others:
        return None, "the job's time-out"
    count = numbered(len(others), "completed run")
    said = f"a guess by the last {count}, with other settings or another number of images"
    return median(map(_duration, others)), said


def _is_near(images: int, wanted: int) -> bool:
    """Near enough to go by the number of images: a run has a part that does not grow with them."""
    return 0 < images <= wanted * MOST_SCALED and wanted <= images * MOST_SCALED


def gpu_hours(runs: Sequence[TrainingRun], now: datetime) -> float:
    """GPU hours of the last 30 days: the part of each run's duration that lies in them, times its GPUs."""
    return math.fsum(_in_month(run, now) * run.machines * run.gpus for run in runs)


def money(runs: Sequence[TrainingRun], now: datetime) -> float:
    """Money of the last 30 days, by the price that each run was started at; runs without a price cost nothing."""
    return math.fsum(_in_month(run, now) * run.machines * run.gpus * (run.price_per_gpu_hour or 0) for run in runs)


def settle(run: TrainingRun) -> None:
    """Note on a run that ended what it used and cost."""
    run.gpu_hours = _duration(run) * run.machines * run.gpus
    run.cost = None if run.price_per_gpu_hour is None else run.gpu_hours * run.price_per_gpu_hour


def _start(run: TrainingRun) -> datetime | None:
    """A job that was cancelled while it waited for a machine cost nothing; of others what is not known counts whole."""
    return run.started or (None if run.status == "canceled" else run.submitted)


def _duration(run: TrainingRun) -> float:
    start = _start(run)
    if start is None or run.finished is None:
        return 0.0
    return max((run.finished - start).total_seconds(), 0.0) / 3600


def _in_month(run: TrainingRun, now: datetime) -> float:
    start = _start(run)
    if start is None:
        return 0.0
    inside = (run.finished or now) - max(start, now - MONTH)
    return max(inside.total_seconds(), 0.0) / 3600


def amount(value: float | None, currency: str) -> str:
    """Money for people; where no price is known, that."""
    return "price unknown" if value is None else f"{value:.2f} {currency}"
