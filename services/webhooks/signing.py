"""The secret that signs messages, ours or to us, and those before it, until both sides have taken the new one over."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

from pydantic import BaseModel, Field

SECRET_BYTES = 32
MOST_OLD_SECRETS = 3


def new_secret() -> str:
    """A secret as Standard Webhooks writes one."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


class OldSecret(BaseModel):
    """A secret that was replaced, and signs beside the new one for a while."""

    secret: str
    until: datetime


class Signing(BaseModel):
    """What has such a secret."""

    secret: str
    old_secrets: list[OldSecret] = Field(default_factory=list)

    def signing(self, now: datetime) -> list[str]:
        """The secrets that sign now, the newest first."""
        return [self.secret, *(old.secret for old in self.old_secrets if now < old.until)]

    def rotate(self, made: str, now: datetime, until: datetime) -> None:
        """Sign with a new secret, and `until` then with the one before too.

        None before signs longer: `until` is now where one has leaked, which may be any of them.
        """
        older = [OldSecret(secret=old.secret, until=min(old.until, until)) for old in self.old_secrets]
        known = [OldSecret(secret=self.secret, until=until), *older]
        self.secret, self.old_secrets = made, [old for old in known if now < old.until][:MOST_OLD_SECRETS]
