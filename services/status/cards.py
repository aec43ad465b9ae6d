"""Model cards over HTTP."""

from __future__ import annotations

from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, NotFound
from services.names import check_loop_name
from services.rollout.places import card_blob

KINDS = {"json": "application/json", "md": "text/markdown"}


class Cards:
    """Cards as the rollouts wrote them."""

    def __init__(self, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._system = system

    def card(self, loop: str, version: str, kind: str) -> tuple[bytes, str]:
        """A card and its content type; `kind` is json or md.

        Raises:
            BadRequest: there is no such kind.
            NotFound: there is no such loop, or no such version was measured.
        """
        if kind not in KINDS:
            raise BadRequest(f"format must be one of {', '.join(KINDS)}")
        check_loop_name(loop)
        if not (version.isascii() and version.isalnum()) or len(version) > 30:
            raise NotFound(f"There is no version {version[:30]!r}")
        try:
            return self._system.read(card_blob(loop, version, kind)).data, KINDS[kind]
        except NotFound:
            raise NotFound(f"No rollout has measured version {version} of {loop}") from None
