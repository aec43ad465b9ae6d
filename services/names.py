"""Names: what a loop may be called, and the deterministic names of everything made for it."""

from __future__ import annotations

import hashlib
import re

from services.errors import BadRequest

LOOP = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
_JOB = re.compile(rf"vl-(?P<loop>{LOOP.pattern})-[0-9a-f]{{12}}")
CONFIG_FILE = "loop.yaml"
CAPTURED = "images/captured/"
"""Below a loop's folder: images that predictions kept. They wake nobody; a label for one of them does."""


def is_loop_name(text: str) -> bool:
    """3 to 40 characters: lower-case letters, digits and hyphens, a letter first."""
    return LOOP.fullmatch(text) is not None


def check_loop_name(text: str) -> str:
    """Return the name.

    Raises:
        BadRequest: it is not a loop's name.
    """
    if not is_loop_name(text):
        raise BadRequest(
            f"{text[:60]!r} is not a loop's name: 3 to 40 lower-case letters, digits and hyphens, a letter first"
        )
    return text


def unknown_loop(loop: str) -> str:
    """The sentence for somebody who names a loop that is not there: a misspelt one, or one before its first file."""
    return f"There is no loop named {loop}: one begins with {loop}/{CONFIG_FILE} or a file below {loop}/images/"


def digest(*parts: str, length: int = 12) -> str:
    """A short hexadecimal hash of some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def loop_of_blob(name: str) -> str | None:
    """The loop that a blob of the data container belongs to, or None where it is nobody's."""
    folder, slash, rest = name.partition("/")
    return folder if slash and rest and is_loop_name(folder) else None


def job_name(loop: str, content_hash: str, config_hash: str, attempt: int = 1) -> str:
    """One name for one dataset content, training config and attempt, so that Azure ML itself refuses a second job."""
    again = (str(attempt),) if attempt > 1 else ()
    return f"vl-{loop}-{digest(content_hash, config_hash, *again)}"


def loop_of_job(run_id: str) -> str | None:
    """The loop of a job that we submitted; None for anybody else's, and for the trials of ours."""
    match = _JOB.fullmatch(run_id)
    return match["loop"] if match else None


def model_name(loop: str) -> str:
    """The registered model of a loop; its versions are numbers of training runs."""
    return f"vl-{loop}"


def endpoint_name(loop: str, subscription_id: str, workspace: str) -> str:
    """At most 32 characters and, as endpoint names must be, unique in the region."""
    return f"vl-{loop[:20].rstrip('-')}-{digest(subscription_id, workspace, loop, length=6)}"


def activity_blob(loop: str) -> str:
    """Where the proxy notes when the loop was last asked for a prediction, in the system container."""
    return f"activity/{loop}.json"


def missed_blob(loop: str) -> str:
    """Where the proxy notes when nobody was there to answer for the live model last, in the system container."""
    return f"missed/{loop}.json"


def state_blob(loop: str) -> str:
    """Where the loop's state document is, in the system container."""
    return f"state/{loop}.json"
