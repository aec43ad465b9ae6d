"""A receiver of webhooks: what is asked for, what may be changed, and what is kept of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.errors import BadRequest
from services.names import check_loop_name
from services.state import Event
from services.webhooks.kinds import KINDS, is_pattern, matches
from services.webhooks.signing import Signing

SECRETS = {"secret", "old_secrets", "asked_hash"}
Text = Annotated[str, Field(max_length=200)]
Rate = Annotated[int, Field(strict=True, ge=1, le=999_999_999)]


class NewEndpoint(BaseModel):
    """What is asked for; empty lists mean everything."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2000)]
    events: list[Text] = Field(default_factory=list, max_length=50)
    """Patterns of event types without their prefix, such as `training.*`."""
    loops: list[Text] = Field(default_factory=list, max_length=100)
    description: Text = ""
    handshake: Annotated[bool, Field(strict=True)] = False
    """Whether it is told anything only after it agreed by CloudEvents' handshake."""
    rate: Rate | None = None
    """Requests a minute that it is asked for with the handshake, and that it gets at most; null is any number."""

    @field_validator("events")
    @classmethod
    def _fire(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if not is_pattern(pattern):
                raise ValueError(f"{pattern!r} is about no event; there are {', '.join(KINDS)}")
        return patterns

    @field_validator("loops")
    @classmethod
    def _are_loops(cls, names: list[str]) -> list[str]:
        try:
            return [check_loop_name(name) for name in names]
        except BadRequest as error:
            raise ValueError(error.detail) from None


class Changes(BaseModel):
    """What may be changed of a receiver; what is left out stays, null is as if it was never given."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2000, default_factory=str)]
    """Has to be one, where it is given; its default here is no other address."""
    events: list[Text] | None = None
    loops: list[Text] | None = None
    description: Text | None = None
    handshake: Annotated[bool, Field(strict=True)] | None = None
    rate: Rate | None = None
    enabled: Annotated[bool, Field(default_factory=bool)]

    def members(self) -> dict[str, Any]:
        """Those that are given."""
        given = self.model_dump(exclude_unset=True)
        return {name: _default(name) if value is None else value for name, value in given.items()}


def _default(name: str) -> Any:
    return NewEndpoint.model_fields[name].get_default(call_default_factory=True)


class Endpoint(NewEndpoint, Signing):
    """A registered receiver. Secrets leave the system container only in the answer that makes them."""

    model_config = ConfigDict(extra="ignore")

    id: str
    kind: Literal["webhook", "event_grid"] = "webhook"
    """A receiver that was registered, or the topic that the app's settings name."""
    created: datetime
    enabled: bool = True
    disabled_reason: str = ""
    failing_since: datetime | None = None
    """Since when nothing but failures: cleared by a success."""
    agreed: datetime | None = None
    """When it agreed, where it was asked."""
    per_minute: int | None = None
    """Requests a minute that it agreed to; null is any number."""
    waiting_until: datetime | None = None
    """Until when it may agree by the address that it was given, where it has not yet."""
    asked_hash: str = ""
    """Of the secret in that address: SHA-256 in hexadecimal; empty where it is not being asked."""

    def wants(self, event: Event) -> bool:
        """Whether the event is for this receiver."""
        in_loop = not self.loops or event.data.get("loop") in self.loops
        return self.enabled and in_loop and (not self.events or any(matches(p, event.type) for p in self.events))

    def shown(self) -> dict[str, object]:
        """Without the secret."""
        return self.model_dump(mode="json", exclude=SECRETS)
