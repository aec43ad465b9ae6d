"""The app and the local cloud as a user sees them: over HTTP, with what `cloud.json` says."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

TIMEOUT_SECONDS = 30


class Refused(Exception):
    """The app answered with an error; `status` is HTTP's, the message the app's own words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Unreachable(Exception):
    """Nobody answers: the host is being started again, or the cloud has ended."""


class Client:
    """One local cloud."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the cloud's; its `cloud.json` is written once it is ready."""
        found = json.loads((folder / "cloud.json").read_text(encoding="utf-8"))
        self.urls: dict[str, str] = found["urls"]
        self.key: str = found["keys"]["default"]
        self.environment: dict[str, str] = found["environment"]
        context = ssl.create_default_context(cafile=str(folder / "certs" / "ca.pem"))
        https = urllib.request.HTTPSHandler(context=context)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)

    def get(self, path: str) -> Any:
        """The JSON answer of one of the app's routes; `path` is below /api."""
        return json.loads(self._ask(f"{self.urls['host']}/api{path}"))

    def loops(self) -> list[str]:
        """Names of the loops that the app knows."""
        return [str(loop["loop"]) for loop in self.get("/status")["loops"]]

    def status(self, loop: str) -> dict[str, Any]:
        """Where a loop stands; empty while the app has not heard of it.

        Raises:
            Refused, Unreachable: as they say.
        """
        try:
            found: dict[str, Any] = self.get(f"/loops/{quote(loop)}/status")
        except Refused as refused:
            if refused.status == 404:
                return {}
            raise
        return found

    def explain(self, loop: str) -> list[str]:
        """What would happen to a loop now, and what is missing for it, in sentences.

        Raises:
            Refused, Unreachable: as they say.
        """
        sentences: list[str] = self.get(f"/loops/{quote(loop)}/explain")["sentences"]
        return sentences

    def timeline(self, loop: str) -> list[dict[str, Any]]:
        """What happened to a loop, oldest first."""
        try:
            events: list[dict[str, Any]] = self.get(f"/loops/{quote(loop)}/timeline?limit=200")["events"]
        except Refused as refused:
            if refused.status == 404:
                return []
            raise
        return events[::-1]

    def predict(self, loop: str, image: bytes, kind: str, *, render: bool = False) -> bytes:
        """A prediction as JSON, or as a picture with `render`; `kind` is the image's content type."""
        url = f"{self.urls['host']}/api/loops/{quote(loop)}/predict{'?render=true' if render else ''}"
        return self._ask(url, image, {"content-type": kind})

    def training(self) -> dict[str, Any]:
        """What the Azure ML emulator is doing just now, which in Azure the studio would show."""
        found: dict[str, Any] = json.loads(self._ask(f"{self.urls['azure_ml']}/emulator/overview"))
        return found

    def _ask(self, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
        request = urllib.request.Request(url, body, {"x-functions-key": self.key, **(headers or {})})
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                found: bytes = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, _words(error.code, error.read())) from None
        except OSError as error:
            raise Unreachable(f"{url.partition('?')[0]} does not answer ({error})") from None
        return found


def _words(status: int, body: bytes) -> str:
    """What the app says is wrong (RFC 9457), or else how its answer begins."""
    try:
        return f"{json.loads(body)['detail']} ({status})"
    except (ValueError, KeyError, TypeError):
        return f"{body[:300].decode('utf-8', 'replace')} ({status})"
