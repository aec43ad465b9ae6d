"""The secret of a source is changed without a message lost, or at once where it has leaked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.errors import BadRequest, Forged, NotFound
from services.inbound.sources import FILE
from tests.support.inbound_house import InboundHouse

Proof = Callable[[str, bytes], Mapping[str, str]]


def header(secret: str, _: bytes) -> Mapping[str, str]:
    return {"x-visionloop-secret": secret}


def hexadecimal(secret: str, body: bytes) -> Mapping[str, str]:
    return {"x-signature-256": "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()}


def signed(secret: str, body: bytes) -> Mapping[str, str]:
    from datetime import UTC, datetime

    now = datetime.now(UTC)  # the library holds it against its own clock
    signature = Webhook(secret).sign("msg_1", now, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


KINDS: list[tuple[str, Proof, Any]] = [
    ("label_studio", header, {"action": "PROJECT_UPDATED"}),
    ("cvat", hexadecimal, {"event": "ping"}),
    ("generic", signed, {"items": [{"name": "1.jpg", "label": {"visionloop": 1, "negative": True}}]}),
]


class House(InboundHouse):
    def rotate(self, source: str, **asked: Any) -> str:
        found = self.sources.rotate(source, json.dumps(asked).encode() if asked else b"")
        return str(found["secret"])

    def takes(self, source: str, proof: Proof, secret: str, message: Any) -> bool:
        body = json.dumps(message).encode()
        try:
            self.inbound.take(source, dict(proof(secret, body)), body)
        except Forged:
            return False
        return True


@pytest.fixture
def house() -> House:
    return House()


@pytest.mark.parametrize(("kind", "proof", "message"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_for_a_day_both_prove_a_message(house: House, kind: str, proof: Proof, message: Any) -> None:
    source, old = house.register(kind=kind)
    new = house.rotate(source)
    assert [house.takes(source, proof, secret, message) for secret in (old, new, "whsec_AAAA")] == [True, True, False]
    house.cloud.clock.advance(timedelta(hours=24).total_seconds())
    assert [house.takes(source, proof, secret, message) for secret in (old, new)] == [False, True]


@pytest.mark.parametrize(("kind", "proof", "message"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_one_that_has_leaked_proves_nothing_from_now_on(house: House, kind: str, proof: Proof, message: Any) -> None:
    source, first = house.register(kind=kind)
    second = house.rotate(source)
    third = house.rotate(source, overlap_hours=0)
    assert [house.takes(source, proof, s, message) for s in (first, second, third)] == [False, False, True]


def test_a_later_rotation_lengthens_no_secrets_time(house: House) -> None:
    source, first = house.register(kind="label_studio")
    house.rotate(source, overlap_hours=1)
    house.rotate(source, overlap_hours=24)
    house.cloud.clock.advance(timedelta(hours=1).total_seconds())
    assert not house.takes(source, header, first, {"action": "PROJECT_UPDATED"})


def test_its_suggestions_take_both(house: House) -> None:
    from services.inbound.suggest import _has_password

    source, old = house.register(kind="label_studio")
    new = house.rotate(source)
    good = house.sources.get(source).signing(house.cloud.clock())

    def password(secret: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(f"x:{secret}".encode()).decode()}

    assert [_has_password(password(secret), good) for secret in (old, new, "x")] == [True, True, False]


def test_old_secrets_are_few_and_shown_nowhere(house: House) -> None:
    source, old = house.register(kind="label_studio")
    made = [old, *(house.rotate(source) for _ in range(6))]
    assert len(house.sources.get(source).signing(house.cloud.clock())) == 4
    shown = json.dumps(house.sources.list())
    assert not [secret for secret in made if secret in shown]
    assert made[-1] in house.cloud.system.blobs[FILE].data.decode()


@pytest.mark.parametrize("body", [b"[", b"[]", b'{"overlap_hours": -1}', b'{"secret": "mine"}'])
def test_what_makes_no_sense_changes_nothing(house: House, body: bytes) -> None:
    source, secret = house.register(kind="label_studio")
    with pytest.raises(BadRequest):
        house.sources.rotate(source, body)
    assert house.sources.get(source).secret == secret


def test_a_source_that_is_not_there(house: House) -> None:
    with pytest.raises(NotFound):
        house.rotate("in_0000000000000000")
