"""Whether a request may come in: by a client key, or by an identity that Easy Auth has checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from services.access import secret
from services.access.keys import Key, Scope
from services.access.meter import NONE, Meter, Quota
from services.access.principal import HEADER, read_principal
from services.access.ring import Ring
from services.errors import Forbidden, Unauthorized
from services.names import check_loop_name
from services.threads import in_thread

_BEARER = "bearer "


class Door:
    """One for a process."""

    def __init__(
        self, ring: Ring, meter: Meter, clock: Callable[[], datetime], *, easy_auth: bool, quota: Quota = NONE
    ) -> None:
        """`easy_auth` is true only where App Service itself sets the header of an identity; `quota` is that of each."""
        self._easy_auth, self._quota = easy_auth, quota
        self._ring, self._meter, self._clock = ring, meter, clock

    async def let_in(self, loop: str, headers: Mapping[str, str], scope: Scope) -> str:
        """`admit` from the event loop: in a thread only where storage would be asked."""
        admit = partial(self.admit, loop, headers, scope)
        return admit() if self._at_once(loop, headers) else await in_thread(admit)

    def _at_once(self, loop: str, headers: Mapping[str, str]) -> bool:
        parts = secret.parts(_given(headers))
        key = self._ring.young(loop, parts.id) if parts else None
        return parts is None or (key is not None and key.opened_by(parts.secret, self._clock()))

    def admit(self, loop: str, headers: Mapping[str, str], scope: Scope, *, count: bool = True) -> str:
        """Let a request in, and count it unless it only looks at what was counted; returns who asks.

        Names of `headers` are in lower case.

        Raises:
            BadRequest: this is no loop's name.
            Unauthorized: there is no key, or none that this loop knows.
            Forbidden: the key or identity is not for `scope`.
            OverQuota: the key or identity has asked often enough for now.
            Upstream: the keys cannot be read.
        """
        check_loop_name(loop)
        given = _given(headers)
        if not given and self._easy_auth and (sent := headers.get(HEADER)):
            return self._admit_identity(loop, sent, scope, count=count)
        key = self._key(loop, given)
        if not key.allows(scope):
            raise Forbidden(f"The key {key.id} has no scope {scope}; it has {', '.join(key.scopes)}", scope=scope)
        if count:
            self._meter.take(loop, key.id, Quota(key.per_minute, key.per_day))
        return key.id

    def _key(self, loop: str, given: str) -> Key:
        if not given:
            raise Unauthorized("Send a client key: Authorization: Bearer vlk_…, or x-api-key: vlk_…")
        if parts := secret.parts(given):
            for anew in (False, True):
                key = self._ring.find(loop, parts.id, anew=anew)
                if key is not None and key.opened_by(parts.secret, self._clock()):
                    return key
        raise Unauthorized(f"The client key is none of {loop}")

    def _admit_identity(self, loop: str, sent: str, scope: Scope, *, count: bool) -> str:
        principal = read_principal(sent)
        if not principal.allows(loop, scope):
            raise Forbidden(f"The identity has no role visionloop.{scope} or visionloop.{scope}.{loop}", scope=scope)
        if count:
            self._meter.take(loop, principal.name, self._quota)
        return principal.name


def _given(headers: Mapping[str, str]) -> str:
    """The key of a request; a bearer token of somebody else's, which Easy Auth leaves in its place, is none."""
    if named := headers.get("x-api-key", ""):
        return named.strip()
    authorization = headers.get("authorization", "")
    token = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else ""
    return token if token.startswith("vlk_") else ""
