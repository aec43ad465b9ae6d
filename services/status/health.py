"""Whether the app, and what it stands on, answers."""

from __future__ import annotations

from typing import Any

from services import __version__
from services.errors import UpstreamBusy, VisionloopError


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
