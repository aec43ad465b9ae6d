"""What moves a loop: its controller, and what people ask of it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from services import wiring

if TYPE_CHECKING:
    from services.approvals import Approvals
    from services.controller import Controller
    from services.controls import Controls
    from services.rollout_controls import RolloutControls
    from services.sweep import Sweeper


@cache
def controls() -> Controls:
    """What people ask of a loop."""
    from services.commands import Commands
    from services.controls import Controls

    return Controls(
        wiring.states(), Commands(wiring.system_store()), wiring.waker(), wiring.clock, wiring.settings().machine_prices
    )


@cache
def rollout_controls() -> RolloutControls:
    """What people ask of a rollout."""
    from services.commands import Commands
    from services.rollout_controls import RolloutControls

    return RolloutControls(wiring.states(), Commands(wiring.system_store()), wiring.waker(), wiring.clock)


@cache
def approvals() -> Approvals:
    """The page behind the link of an approval."""
    from services.approvals import Approvals
    from services.commands import Commands

    return Approvals(
        wiring.states(), wiring.system_store(), Commands(wiring.system_store()), wiring.waker(), wiring.clock
    )


@cache
def controller() -> Controller:
    """Looks at one loop at a time."""
    from services.config_stage import ConfigStage
    from services.control_stage import ControlStage
    from services.controller import Controller
    from services.datasets.stage import DatasetStage
    from services.inbound.stage import InboundStage
    from services.outbox import Outbox
    from services.rollout.guard import GuardStage
    from services.rollout.idle import IdleStage
    from services.rollout.stage import RolloutStage
    from services.training.stage import TrainingStage

    inbound = InboundStage()
    live = (RolloutStage(), GuardStage(), IdleStage())
    stages = (ConfigStage(), ControlStage(), inbound, DatasetStage(), TrainingStage(), *live)
    return Controller(
        wiring.cloud(), stages, wiring.waker(), Outbox(wiring.timeline(), wiring.dispatcher()), wiring.states()
    )


@cache
def sweeper() -> Sweeper:
    """Wakes every loop."""
    from services.sweep import Sweeper

    return Sweeper(wiring.data_store(), wiring.states(), wiring.waker())
