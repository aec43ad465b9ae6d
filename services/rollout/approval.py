"""A person's yes before traffic moves, where loop.yaml asks for one."""

from __future__ import annotations

from datetime import timedelta

from services.context import LoopContext
from services.names import digest
from services.rollout.course import give_up, go, poll
from services.rollout.link import Question, token
from services.state import Approval, Rollout

LONGEST_WAIT = 3600.0


def approve(context: LoopContext, rollout: Rollout) -> float:
    """Ask once, then wait for the answer, which comes as an order, until the question is too old."""
    policy = context.config.promotion
    if rollout.order is not None or policy.approval == "none":
        context.state.guard.repair = None
        return go(context, rollout, "approved")
    if rollout.approval is None:
        rollout.approval = _ask(context, rollout)
        context.save()
    if rollout.approval.answer == "yes" and context.state.guard.repair is not None:
        return poll(context)  # the traffic is shared with a champion that is on its way back
    if rollout.approval.answer == "yes":
        return go(context, rollout, "approved", rollout.decision)
    if rollout.approval.answer == "no":
        return give_up(context, rollout, rollout.decision, "refused")
    if context.now >= rollout.approval.expires:
        said = f"Nobody approved it until {rollout.approval.expires:%Y-%m-%d %H:%M} UTC; {rollout.decision}"
        return give_up(context, rollout, said, "refused")
    return max(1.0, min((rollout.approval.expires - context.now).total_seconds(), LONGEST_WAIT))


def _ask(context: LoopContext, rollout: Rollout) -> Approval:
    expires = context.now + timedelta(hours=context.config.promotion.approval_hours)
    number = digest(context.loop, str(rollout.run), rollout.started.isoformat(), length=16)
    said = f"Run {rollout.run} waits for a yes until {expires:%Y-%m-%d %H:%M} UTC: {rollout.decision}"
    context.state.reasons["rollout"] = said
    question = Question(context.loop, rollout.run, number, expires)
    signed = token(context.cloud.system, question)
    url = f"{context.cloud.settings.public_url}/api/approvals/{context.loop}?token={signed}"
    context.tell(
        "rollout.approval_requested",
        said,
        run=rollout.run,
        scores=rollout.scores,
        expires=expires.isoformat(),
        url=url,
    )
    return Approval(id=number, asked=context.now, expires=expires)
