"""The page behind the link of an approval: looking at it does nothing, its two buttons answer once.

A mail program or a chat that opens links to look for harm must not approve, so only POST acts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html import escape
from urllib.parse import parse_qs

from services.cloud.ports.storage import BlobStore
from services.commands import Asked, Commands, command
from services.errors import BadLink, BadRequest, NotFound, TooLarge
from services.names import check_loop_name
from services.rollout import link
from services.state import Rollout
from services.state_store import StateStore
from services.wake import Waker

MOST_BYTES = 4096
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }}
button {{ font: inherit; padding: .5rem 1.5rem; margin-right: 1rem }}
</style>
<h1>{title}</h1>
{body}
</html>
"""
_FORM = """<p>{said}</p>
<form method="post"><input type="hidden" name="token" value="{token}">
<p><label>Your name <input name="by" maxlength="100"></label></p>
<p><button name="answer" value="approve">Approve</button><button name="answer" value="refuse">Refuse</button></p>
</form>
<p>Until {expires:%Y-%m-%d %H:%M} UTC; without an answer the model is rejected.</p>"""


class Approvals:
    """Shows a question and takes its answer."""

    def __init__(
        self,
        states: StateStore,
        system: BlobStore,
        commands: Commands,
        waker: Waker,
        clock: Callable[[], datetime],
    ) -> None:
        """All can be replaced."""
        self._states, self._system, self._commands = states, system, commands
        self._waker, self._clock = waker, clock

    def page(self, loop: str, token: str) -> str:
        """The question with two buttons, as HTML.

        Raises:
            BadLink: forged, too old, or answered already.
        """
        question, rollout = self._open(loop, token)
        body = _FORM.format(said=escape(rollout.decision), token=escape(token), expires=question.expires)
        return _page(f"Run {rollout.run} of {loop}: may it go live?", body)

    def answer(self, loop: str, form: bytes) -> str:
        """Take an answer: the body of the page's form.

        Raises:
            BadRequest: it is not the page's form.
            TooLarge: it is longer than such a form.
            BadLink: forged, too old, or answered already.
        """
        fields = _fields(form)
        _, rollout = self._open(loop, fields.get("token", ""))
        word = fields.get("answer")
        if word not in ("approve", "refuse") or rollout.approval is None:
            raise BadRequest("answer must be approve or refuse")
        by = " ".join(fields.get("by", "").split())[:100]
        asked = command("approve" if word == "approve" else "refuse", Asked(by=by), self._clock(), rollout.run)
        if not self._commands.put_once(loop, asked.model_copy(update={"question": rollout.approval.id})):
            raise BadLink("This link was used already")
        self._waker.wake(loop, f"{word} was answered")
        done = "is approved, and its traffic begins" if word == "approve" else "is rejected"
        return _page(f"Run {rollout.run} of {loop} {done}", "<p>Thank you. This page can be closed.</p>")

    def _open(self, loop: str, token: str) -> tuple[link.Question, Rollout]:
        question = link.read(self._system, token, check_loop_name(loop), self._clock())
        try:
            rollout = self._states.read(loop).rollout
        except NotFound:
            raise BadLink("The loop is gone") from None
        if rollout is None or rollout.approval is None or rollout.approval.id != question.number:
            raise BadLink(f"The rollout of run {question.run} is over")
        if rollout.step != "approve" or rollout.approval.answer:
            raise BadLink("This link was used already, or the question is settled")
        return question, rollout


def refusal(error: BadLink, accepts: str) -> str:
    """A page that says why a link does nothing any more, for a browser; empty for a program, which gets the problem."""
    words = f"<p>{escape(str(error))}.</p><p>Nothing was changed. The status page says where the loop stands.</p>"
    return _page(error.title, words) if "text/html" in accepts else ""


def _fields(form: bytes) -> dict[str, str]:
    if len(form) > MOST_BYTES:
        raise TooLarge(f"The form has more than {MOST_BYTES} bytes", limit=MOST_BYTES)
    try:
        return {name: values[-1] for name, values in parse_qs(form.decode(), max_num_fields=10).items()}
    except ValueError:
        raise BadRequest("The body is not the page's form") from None


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), body=body)
