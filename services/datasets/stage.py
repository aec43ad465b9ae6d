"""The dataset stage: listing, catalogue, decision, dataset version."""

from __future__ import annotations

from services.context import LoopContext
from services.datasets.observe import observe
from services.datasets.retention import retire
from services.datasets.version import finish, intend, make_current
from services.decisions.decision import Decision
from services.decisions.register import decide, facts_of


class DatasetStage:
    """Registers what users upload, once per content."""

    name = "dataset"

    def step(self, context: LoopContext) -> float | None:
        """Finish an intended version; else bring the catalogue to storage, and decide about a version."""
        intended = next((v for v in context.state.datasets if v.status == "registering"), None)
        if intended is not None:
            finish(context, intended)
            return 0.0
        wait = observe(context)
        return wait if wait is not None else self._decide(context)

    def _decide(self, context: LoopContext) -> float | None:
        state = context.state
        decision = decide(facts_of(state, context.now))
        state.reasons[self.name] = decision.reason
        if not decision.act:
            return 0.0 if retire(context) else decision.again_in
        self._act(context, decision)
        return 0.0

    def _act(self, context: LoopContext, decision: Decision) -> None:
        reused = decision.facts.get("reuse")
        if isinstance(reused, int):
            make_current(context, reused)
            return
        self._tell_inference(context)
        version = intend(context)
        context.save()
        finish(context, version)

    def _tell_inference(self, context: LoopContext) -> None:
        """Told once: with the first version, and where another task is inferred than that of the version before."""
        state, found = context.state, context.state.catalogue
        before = state.dataset.task if state.dataset else None
        if context.config.task is None and found.task != before:
            reason = f"{found.task}: {state.reasons.get('task', '')}"
            context.tell("task.inferred", reason, task=found.task, classes=found.classes)
