from __future__ import annotations

import base64
import json
import time

import pytest

from emulator.azure_ml.errors import AzureError
from emulator.azure_ml.identity import Identity

MANAGEMENT = ("https://management.azure.com",)


def claims(token: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def test_a_token_says_for_whom_and_how_long() -> None:
    answer = Identity("secret").issue("https://storage.azure.com/.default", "secret")
    found = claims(answer["access_token"])
    assert found["aud"] == "https://storage.azure.com"
    assert str(found["iss"]).startswith("https://sts.windows.net/")
    assert int(str(found["nbf"])) <= time.time() < int(str(found["exp"])) == int(answer["expires_on"])
    assert answer["token_type"] == "Bearer"


def test_a_token_is_good_for_its_audience() -> None:
    identity = Identity("secret")
    token = identity.issue("https://management.azure.com/", "secret")["access_token"]
    identity.check(f"Bearer {token}", MANAGEMENT)
    identity.check(f"bearer {token}", MANAGEMENT)
    with pytest.raises(AzureError) as found:
        identity.check(f"Bearer {token}", ("https://ml.azure.com",))
    assert found.value.status == 401


@pytest.mark.parametrize(
    ("resource", "header", "status"), [("https://a", None, 401), ("https://a", "x", 401), ("", "secret", 400)]
)
def test_who_gets_no_token(resource: str, header: str | None, status: int) -> None:
    with pytest.raises(AzureError) as found:
        Identity("secret").issue(resource, header)
    assert found.value.status == status


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x", "Bearer a.b.c", "Basic abc", "Bearer é.ü.ß"])
def test_what_is_no_token(authorization: str | None) -> None:
    with pytest.raises(AzureError) as found:
        Identity("secret").check(authorization, MANAGEMENT)
    assert found.value.status == 401


def test_another_cloud_s_token_is_refused() -> None:
    token = Identity("other").issue(MANAGEMENT[0], "other")["access_token"]
    with pytest.raises(AzureError):
        Identity("secret").check(f"Bearer {token}", MANAGEMENT)


def test_an_old_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Identity("secret")
    token = identity.issue(MANAGEMENT[0], "secret")["access_token"]
    later = time.time() + 25 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(AzureError) as found:
        identity.check(f"Bearer {token}", MANAGEMENT)
    assert found.value.code == "ExpiredAuthenticationToken"
