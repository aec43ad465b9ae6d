"""The controller's part: tells and shows what labelling tools announced and could not be taken."""

from __future__ import annotations

from services.context import LoopContext
from services.errors import NotFound
from services.inbound.notes import Note, Notes
from services.state import InboundNote


class InboundStage:
    """Brings the state to the notes that are kept; each is told when it appears."""

    name = "inbound"

    def step(self, context: LoopContext) -> float | None:
        """Take over new and changed notes, and forget those that are gone."""
        notes, known = Notes(context.cloud.system), {note.name: note for note in context.state.inbound}
        listed = {blob.name: blob.etag for blob in notes.list(context.loop)}
        if listed == {name: note.etag for name, note in known.items()}:
            return None
        found: list[InboundNote] = []
        for name, etag in listed.items():
            if (before := known.get(name)) is not None and before.etag == etag:
                found.append(before)
            elif (note := _read(notes, name)) is not None:
                found.append(InboundNote(name=name, etag=etag, problems=note.problems))
                if before is None:
                    first = {"problem": note.problems[0].model_dump()} if note.problems else {}
                    context.tell("inbound.failed", note.reason, inbound=note.source, **first)
        context.state.inbound = found
        context.save()
        return None


def _read(notes: Notes, name: str) -> Note | None:
    try:
        return notes.read(name)
    except NotFound:
        return None
