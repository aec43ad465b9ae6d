"""An identity that Easy Auth has checked: the header X-MS-CLIENT-PRINCIPAL.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities. App Service sets the header and
takes it out of what comes from outside, if Easy Auth is on. If it is off, anybody may send it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from services.access.keys import Scope
from services.errors import Unauthorized

HEADER = "x-ms-client-principal"
MOST_CHARACTERS = 64 * 1024
ROLE = "visionloop"
_ROLES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_OBJECTS = ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")


class _Claim(BaseModel):
    typ: str
    val: str


class _Sent(BaseModel):
    auth_typ: str = ""
    claims: list[_Claim] = Field(default_factory=list)
    role_typ: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: `name` is `entra:` with the object's id."""

    name: str
    roles: Sequence[str]

    def allows(self, loop: str, scope: Scope) -> bool:
        """Whether a role is for this: `visionloop.<scope>` for all loops, `visionloop.<scope>.<loop>` for one."""
        wanted = {f"{ROLE}.{one}{of}" for one in (scope, "admin") for of in ("", f".{loop}")}
        return not wanted.isdisjoint(self.roles)


def read_principal(header: str) -> Principal:
    """Read the header.

    Raises:
        Unauthorized: it is none of Microsoft Entra's.
    """
    try:
        sent = _Sent.model_validate_json(base64.b64decode(header[:MOST_CHARACTERS], validate=True))
    except (ValidationError, ValueError):
        raise Unauthorized("X-MS-CLIENT-PRINCIPAL is not what Easy Auth sends") from None
    objects = [claim.val for claim in sent.claims if claim.typ in _OBJECTS]
    if sent.auth_typ != "aad" or not objects:
        raise Unauthorized("The identity is none of Microsoft Entra ID")
    kinds = {*_ROLES, sent.role_typ}
    return Principal(f"entra:{objects[0][:100]}", tuple(claim.val for claim in sent.claims if claim.typ in kinds))
