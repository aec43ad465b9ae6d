"""Canaries: distinctive secrets wherever there is one, which no log, error, answer or page may repeat."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cloud.fakes import FakeCloud
from services.errors import ConfigError, UpstreamBusy
from services.inbound.sources import FILE as SOURCES
from services.openapi.table import OPERATIONS
from services.rollout.link import KEY_FILE
from services.settings import Settings, read_settings
from services.webhooks.registry import FILE
from tests.support.in_process import KEY, Host, faked_host
from tests.support.odd_requests import BODIES, ODD, ODD_QUERY, USUAL, address
from tests.support.predictions import jpeg

CANARY = "canary7f3a9c"
OTHERS = (
    "AzureWebJobsStorage", "APPLICATIONINSIGHTS_CONNECTION_STRING", "IDENTITY_HEADER", "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_CONNECTION_STRING", "MSI_SECRET", "WEBSITE_AUTH_ENCRYPTION_KEY",
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Host, FakeCloud]]:
    """The app, with a canary in every setting of ours and in those of the platform that are secret."""
    for field in Settings.model_fields.values():
        monkeypatch.setenv(str(field.alias), f"https://{CANARY}.example/?sig={CANARY}")
    for name in OTHERS:
        monkeypatch.setenv(name, f"AccountKey={CANARY}")
    with faked_host(tmp_path) as found:
        yield found


def everything(host: Host, known: dict[str, str], client: str) -> Iterator[tuple[str, str]]:
    """All that the app says to all odd requests of who has both keys: operation and answer, headers included."""
    key = {"x-api-key": client}
    for operation in sorted(OPERATIONS, key=lambda found: found.method == "DELETE"):
        for values in ({**USUAL, **known}, *ODD):
            for query in ("", ODD_QUERY):
                answer = host.ask(operation.method, address(operation, values) + query, headers=key)
                yield operation.function, f"{answer.headers} {answer.text}"
        for body in [*BODIES.values(), jpeg(9, 9)]:
            headers = {**key, "content-type": "application/json", "content-length": str(len(body))}
            path = address(operation, {**USUAL, **known})
            answer = host.ask(operation.method, path, headers=headers, content=body)
            yield operation.function, f"{answer.headers} {answer.text}"


def webhook(host: Host) -> tuple[str, list[str]]:
    """A receiver with a new secret and an old one, and both."""
    made = host.ask("POST", "/api/webhooks", json={"url": "https://receiver.example/"}).json()
    new = host.ask("POST", f"/api/webhooks/{made['id']}/rotate").json()["secret"]
    host.ask("POST", f"/api/webhooks/{made['id']}/test")
    return made["id"], [made["secret"].removeprefix("whsec_"), new.removeprefix("whsec_")]


def inbound(host: Host) -> list[str]:
    """The secrets of a source, and the token that it looks things up with."""
    token = f"{CANARY}-of-cvat"
    asked = {"kind": "cvat", "loop": "cards", "address": "https://cvat.example/", "token": token}
    made = host.ask("POST", "/api/inbound", json=asked).json()
    assert "token" not in made
    return [made["secret"].removeprefix("whsec_"), token]


def test_nothing_repeats_a_secret(
    site: tuple[Host, FakeCloud], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    host, fakes = site
    caplog.set_level(logging.DEBUG)
    fakes.system.write(KEY_FILE, f"{CANARY}-signs-links".encode())
    known, secrets = webhook(host)
    secrets += inbound(host)
    host.ask("GET", "/api/approvals/cards?token=x.y")
    client = host.ask("POST", "/api/loops/cards/keys", json={"scopes": ["admin"]}).json()["key"]
    secrets.append(client.split("_", 2)[2])
    answers = list(everything(host, {"id": known}, client))
    assert any(where == "client_status" and '"task"' in text for where, text in answers), "the key opens"
    said = [*answers, ("log", caplog.text), ("stdout", "".join(capsys.readouterr()))]
    for secret in (CANARY, *secrets, KEY):
        assert [where for where, text in said if secret in text] == []
    assert len(answers) > 1000
    assert any("whsec_" in text for where, text in answers if where == "webhooks_rotate"), "but where one is made"


def test_secrets_lie_in_the_system_container_only(site: tuple[Host, FakeCloud]) -> None:
    host, fakes = site
    _, secrets = webhook(host)
    places = {**dict.fromkeys(secrets, FILE), **dict.fromkeys(inbound(host), SOURCES)}
    for secret, place in places.items():
        assert [n for n, blob in fakes.system.blobs.items() if secret.encode() in blob.data] == [place]
        assert not any(secret.encode() in blob.data for blob in fakes.data.blobs.values())
        assert not any(secret in body for body, _ in fakes.deliveries.sent)


@pytest.mark.parametrize("error", [RuntimeError(f"AccountKey={CANARY}"), OSError(f"https://x/?sig={CANARY}")])
def test_what_the_outside_fails_with_is_not_told_to_clients(site: tuple[Host, FakeCloud], error: Exception) -> None:
    host, fakes = site

    def fail(_: str) -> None:
        raise error

    fakes.on_call = fail
    told = [host.ask(found.method, address(found, USUAL), content=jpeg(9, 9)) for found in OPERATIONS]
    assert not [answer.url for answer in told if CANARY in answer.text]
    failed = [answer.json() for answer in told if answer.status_code == 500]
    assert len(failed) >= 10
    assert all("correlation_id" in found for found in failed)


def test_an_unreachable_container_is_told_without_its_address(site: tuple[Host, FakeCloud]) -> None:
    host, fakes = site

    def away(_: str) -> None:
        raise UpstreamBusy(f"{CANARY}.blob.core.windows.net")

    fakes.on_call = away
    answer = host.ask("GET", "/api/health?deep=true", key="")
    assert answer.status_code == 503
    assert CANARY not in answer.text


@pytest.mark.parametrize("field", sorted(str(f.alias) for f in Settings.model_fields.values()))
def test_a_wrong_setting_is_named_without_its_value(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({field: f"{CANARY}\n" * 200})
    assert CANARY not in caught.value.detail
    assert CANARY not in str(caught.value.extra)
