"""Carries out a person's word on a rollout."""

from __future__ import annotations

from services.context import LoopContext
from services.decisions.guard import recovery
from services.decisions.orders import Word, answer
from services.rollout.canary import begin_revert
from services.rollout.course import give_up, restart_clock
from services.state import Order, RolloutOrder


def carry_out(context: LoopContext, word: Word, order: Order, run: int | None) -> None:
    """Do what the word comes to now; one that is so already, or no longer possible, changes nothing.

    A rollback that lasts is told when the traffic is back; everything else is told as `rollout.ordered`.
    """
    found, rollout = answer(word, context.state, run), context.state.rollout
    said = f"{found.says}; asked for{order.signed}"
    if found.effect in ("nothing", "refused"):
        return
    context.tell("rollout.ordered", said, word=word, run=found.run, by=order.by, why=order.why)
    if found.effect in ("begin", "restore") and found.run is not None:
        kind: Word = "rollback" if found.effect == "restore" else "promote"
        context.state.rollout_next = RolloutOrder(kind=kind, run=found.run, order=order)
    elif found.effect == "recover":
        context.state.resting = None
        context.state.guard.repair = recovery(context.state.guard, context.now)
    elif rollout is None:
        return
    elif found.effect == "advance":
        rollout.order, rollout.held = RolloutOrder(kind="promote", run=rollout.run, order=order), None
    elif found.effect == "cancel":
        give_up(context, rollout, said, "rolled_back")
    elif found.effect == "revert":
        begin_revert(context, rollout, said)
    elif found.effect == "hold":
        rollout.held = order
    else:
        rollout.held = None
        restart_clock(context, rollout)


def answer_question(context: LoopContext, number: str, order: Order, *, yes: bool) -> None:
    """Note a person's answer to the question of a rollout that still waits for it."""
    rollout = context.state.rollout
    if rollout is None or rollout.step != "approve" or rollout.approval is None or rollout.approval.id != number:
        return
    if rollout.approval.answer:
        return
    rollout.approval.answer = "yes" if yes else "no"
    said = f"Run {rollout.run} was {'approved' if yes else 'refused'} by the link{order.signed}"
    rollout.decision = f"{rollout.decision}; {said}"
    context.tell("rollout.ordered", said, word="approve" if yes else "refuse", run=rollout.run, by=order.by)
