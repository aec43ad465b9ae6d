"""Whether the app, and what it stands on, answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services import __version__
from services.errors import BadRequest, UpstreamBusy, VisionloopError


def is_deep(query: Mapping[str, str]) -> bool:
    """Whether the storage is to be looked at too.

    Raises:
        BadRequest: `deep` is something else: a probe that looks at less than it was meant to would be trusted.
    """
    found = query.get("deep", "false").lower()
    if found not in ("true", "false"):
        raise BadRequest("deep must be true or false")
    return found == "true"


def health(*, deep: bool) -> dict[str, Any]:
    """The version; `deep` also reads from both containers.

    Raises:
        UpstreamBusy: storage cannot be read.
    """
    found: dict[str, Any] = {"status": "ok", "version": __version__}
    if deep:
        from services import wiring

        for name, store in (("data", wiring.data_store()), ("system", wiring.system_store())):
            try:
                next(iter(store.list("health/")), None)
            except VisionloopError:
                raise UpstreamBusy(f"The {name} container cannot be read") from None
        found["storage"] = "ok"
    return found
