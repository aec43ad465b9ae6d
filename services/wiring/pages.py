"""What people look at."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from services import wiring

if TYPE_CHECKING:
    from services.datasets.documents import Datasets
    from services.export.exports import Exports
    from services.status.cards import Cards
    from services.status.documents import Status
    from services.status.problems import ProblemReports
    from services.status.runs import Runs


@cache
def cards() -> Cards:
    """Model cards."""
    from services.status.cards import Cards

    return Cards(wiring.system_store())


@cache
def status() -> Status:
    """What a person sees."""
    from services.status.documents import Status

    return Status(wiring.states(), wiring.timeline(), wiring.clock, wiring.settings().machine_prices)


@cache
def runs() -> Runs:
    """Training runs to look at."""
    from services.status.runs import Runs

    return Runs(wiring.states(), wiring.system_store())


@cache
def datasets() -> Datasets:
    """Dataset versions to look at."""
    from services.datasets.documents import Datasets

    return Datasets(wiring.states(), wiring.system_store())


@cache
def exports() -> Exports:
    """Dataset versions in other tools' formats."""
    from services.export.exports import Exports

    return Exports(wiring.states(), wiring.system_store())


@cache
def problem_reports() -> ProblemReports:
    """Everything that is wrong with uploads."""
    from services.status.problems import ProblemReports

    return ProblemReports(wiring.states(), wiring.system_store())
