"""Turns what an installer printed into one sentence that says what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from devtools.layout import shown


@dataclass(frozen=True, slots=True)
class Trouble:
    """`pattern` is looked for in an installer's words; its named groups are filled into the sentence."""

    pattern: str
    sentence: str


KNOWN = (
    Trouble(
        pattern=r"No space left on device|Errno 28\b|ENOSPC|not enough space on the disk",
        sentence="The disk is full: about 3 GB are needed. Free some space and run the same command again",
    ),
    Trouble(
        pattern=r"CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|UNABLE_TO_(GET|VERIFY)\w*CERT",
        sentence="The package registry's certificate is not trusted here. Behind a company's proxy set PIP_CERT and "
        "NODE_EXTRA_CA_CERTS to its certificate file and run the same command again",
    ),
    Trouble(
        pattern=r"NewConnectionError|Failed to establish|Connection refused|ConnectTimeout|Read timed out|ProxyError|"
        r"Temporary failure in name resolution|getaddrinfo failed|Network is unreachable|Connection reset|"
        r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET",
        sentence="The package registry cannot be reached. Check the network (and HTTPS_PROXY, PIP_INDEX_URL, npm's "
        "registry) and run the same command again: what is already installed is kept",
    ),
    Trouble(
        pattern=r"No module named (pip|ensurepip)\b|ensurepip is not",
        sentence="pip is missing or broken. Run `python3 dev.py clean --all` and then the same command again",
    ),
    Trouble(
        pattern=r"requirement (?P<what>\S+) \(from versions: none\)",
        sentence="The package registry cannot be reached, or has no {what} for this Python. Check the network (and "
        "HTTPS_PROXY, PIP_INDEX_URL), use Python 3.11 to 3.13 on a 64-bit system, and run the same command again",
    ),
    Trouble(
        pattern=r"No matching distribution found for (?P<what>\S+)",
        sentence="There is no build of {what} for this Python on this system: use Python 3.11 to 3.13 on a 64-bit "
        "system",
    ),
    Trouble(
        pattern=r"Permission denied|EACCES|Access is denied",
        sentence="A file could not be written. Check who owns the project's folder, and that nothing else uses it",
    ),
)


def explain(text: str, log: Path, otherwise: str) -> str:
    """The sentence of the first trouble found in an installer's output, or `otherwise`; the log is named."""
    for trouble in KNOWN:
        found = re.search(trouble.pattern, text)
        if found:
            return f"{trouble.sentence.format(**found.groupdict())}. Details: {shown(log)}"
    return f"{otherwise}. Details: {shown(log)}"
