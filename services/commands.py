"""What people ask of a loop over HTTP, kept until the controller carries it out.

A command is a blob `commands/<loop>/<name>.json` in the container that only we write, followed by a wake. A wake that
is lost delays it to the sweep; a command that comes twice is the same blob. The controller notes the ETag of what it
carried out in the loop's state, so nothing is deleted, and no command written meanwhile can be lost. Of two commands
of one name the newest holds: a resume takes a pause back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, NotFound, TooLarge
from services.members import read_members
from services.state import LoopState, Order

Line = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
MOST_BYTES = 8 * 1024


class Asked(BaseModel):
    """The body of a request; all of it may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Line = ""
    """Who asks, for the timeline."""
    why: Line = ""
    """Why, for the timeline."""
    again: bool = False
    """With `train`: also where a run on the same data with the same settings failed or was cancelled."""
    run: int | None = None
    """With a word on a rollout: the run that is meant, so that repeating it does no harm."""


Action = Literal["train", "pause", "resume", "cancel", "promote", "rollback", "hold", "release", "approve", "refuse"]
"""`promote` to `refuse` are about the rollout; `release` takes a hold back."""
_NAMES: dict[Action, str] = {
    "train": "train",
    "pause": "pause",
    "resume": "pause",
    "cancel": "cancel",
    "promote": "rollout",
    "rollback": "rollout",
    "hold": "rollout-hold",
    "release": "rollout-hold",
    "approve": "rollout-answer",
    "refuse": "rollout-answer",
}


class Command(BaseModel):
    """What is kept of a request."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    action: Action
    order: Order
    run: int | None = None
    """The training run that is to be cancelled, or whose model's rollout is meant."""
    question: str = ""
    """The question that `approve` and `refuse` answer."""


def read_asked(body: bytes) -> Asked:
    """Read the body of a request; an empty one asks without a name and a reason.

    Raises:
        BadRequest: saying which member is wrong.
        TooLarge: it is no such body.
    """
    if len(body) > MOST_BYTES:
        raise TooLarge(f"The body has more than {MOST_BYTES} bytes", limit=MOST_BYTES)
    try:
        asked = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise BadRequest('The body must be JSON, such as {"by": "Ada", "why": "new camera"}, or empty') from None
    return read_members(Asked, asked)


def command(action: Action, asked: Asked, now: datetime, run: int | None = None) -> Command:
    """The command that a request is kept as."""
    order = Order(by=asked.by.strip(), why=asked.why.strip(), at=now, again=asked.again)
    return Command(action=action, order=order, run=run)


class Commands:
    """The commands of all loops."""

    def __init__(self, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._system = system

    def put(self, loop: str, asked: Command) -> None:
        """Keep a command; an older one of the same name is replaced."""
        self._system.write(f"commands/{loop}/{_NAMES[asked.action]}.json", asked.model_dump_json().encode())

    def put_once(self, loop: str, asked: Command) -> bool:
        """Keep an answer unless its question was answered before; returns whether it was kept.

        Raises:
            ChangedMeanwhile: somebody else answers at this moment.
        """
        name = f"commands/{loop}/{_NAMES[asked.action]}.json"
        try:
            kept = self._system.read(name)
        except NotFound:
            self._system.write(name, asked.model_dump_json().encode(), create=True)
            return True
        if Command.model_validate_json(kept.data).question == asked.question:
            return False
        self._system.write(name, asked.model_dump_json().encode(), etag=kept.etag)
        return True

    def new(self, state: LoopState) -> Iterator[tuple[str, str, Command]]:
        """Name, ETag and command of what is not carried out yet."""
        for blob in self._system.list(f"commands/{state.loop}/"):
            name = blob.name.rpartition("/")[2].removesuffix(".json")
            if state.commands.get(name) != _plain(blob.etag):
                read = self._system.read(blob.name)
                yield name, _plain(read.etag), Command.model_validate_json(read.data)


def _plain(etag: str) -> str:
    """A listing gives ETags without the quotes that every other answer has."""
    return etag.strip('"')
