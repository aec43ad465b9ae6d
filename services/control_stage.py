"""Carries out what people asked for over HTTP: each command once, told with who asked and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.commands import Action, Command, Commands
from services.context import LoopContext
from services.decisions.orders import Word
from services.rollout import orders
from services.state import LoopState, Order
from services.training.facts import facts_of

_WORDS: Mapping[Action, Word] = {
    "promote": "promote",
    "rollback": "rollback",
    "hold": "hold",
    "release": "resume",
}


class ControlStage:
    """Before the stages that start something, so that a pause holds within the wake that finds it."""

    name = "control"

    def step(self, context: LoopContext) -> float | None:
        """Carry out new commands; each is noted with its effect in one write, so that it has its effect once."""
        for name, etag, command in list(Commands(context.cloud.system).new(context.state)):
            _carry_out(context, command)
            context.state.commands[name] = etag
            context.save()
        return None


def _carry_out(context: LoopContext, command: Command) -> None:
    state, order = context.state, command.order
    said = {"by": order.by, "why": order.why}
    if command.action == "pause" and state.pause is None:
        state.pause = order
        context.tell("loop.paused", f"{state.paused}; what runs is followed to its end", **said)
    elif command.action == "resume" and state.pause is not None:
        state.pause = None
        context.tell("loop.resumed", f"The loop goes on{order.signed}", **said)
    elif command.action == "train":
        context.tell("training.requested", want_training(state, order, context.now), again=order.again, **said)
    elif command.action == "cancel":
        _cancel(context, order, command.run)
    elif command.action in _WORDS:
        orders.carry_out(context, _WORDS[command.action], order, command.run)
    elif command.action in ("approve", "refuse"):
        orders.answer_question(context, command.question, order, yes=command.action == "approve")


def want_training(state: LoopState, order: Order, now: datetime) -> str:
    """Note that a run is wanted whatever the thresholds, unless the very run was begun since; says which."""
    run = facts_of(state, now).last_attempt
    if run is not None and (run.active or run.intended > order.at):
        has = "is under way already" if run.active else f"was begun since, and {run.status}"
        return f"Training run {run.number} on the newest dataset version {has}; asked for{order.signed}"
    state.train_now = order
    return f"A training run is asked for{order.signed}"


def _cancel(context: LoopContext, order: Order, number: int | None) -> None:
    run = context.state.active_run
    if run is not None and run.number == number and run.cancel is None:
        run.cancel = order
        reason = f"Training run {run.number} is to be cancelled{order.signed}"
        context.tell("training.canceling", reason, run=run.number, job=run.job, by=order.by, why=order.why)
