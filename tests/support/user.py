"""What a user of one loop does and sees: uploads by the storage SDK, everything else over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.support.cards import Photograph
from tests.support.cloud_process import CloudProcess


class User:
    """A user of one loop on a local cloud."""

    def __init__(self, cloud: CloudProcess, loop: str) -> None:
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import ContainerClient

        self.loop = loop
        self._cloud = cloud
        self._http = httpx.Client(
            base_url=f"{cloud.urls['host']}/api", headers={"x-functions-key": cloud.key}, timeout=60
        )
        environment = cloud.environment
        account, container = environment["DataStorage__blobServiceUri"], environment["VISIONLOOP_DATA_CONTAINER"]
        self._credential = DefaultAzureCredential()
        self._container = ContainerClient(account, container, self._credential)

    def close(self) -> None:
        self._http.close()
        self._container.close()
        self._credential.close()

    def upload(self, name: str, data: bytes) -> None:
        self._container.upload_blob(f"{self.loop}/{name}", data, overwrite=True)

    def files(self, below: str) -> dict[str, Any]:
        """The JSON files below a folder of the loop's, by their names there."""
        prefix = f"{self.loop}/{below}"
        names = [*self._container.list_blob_names(name_starts_with=prefix)]
        return {name.removeprefix(prefix): json.loads(self._container.download_blob(name).readall()) for name in names}

    def upload_photographs(self, photographs: Iterable[Photograph]) -> None:
        files = [(f"images/{p.name}", p) for photo in photographs for p in (photo.image, photo.label)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda f: self.upload(f[0], f[1].read_bytes()), files))

    def get(self, path: str) -> Any:
        answer = self._http.get(path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self._http.post(path, **arguments)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/loops/{self.loop}/status")
        return found

    def timeline(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/loops/{self.loop}/timeline?limit=500")["events"]
        return found

    def told(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The events of a kind, once there are so many: the state that tells of them is kept a moment earlier."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.timeline() if event["type"] == f"visionloop.{kind}"]

        self.wait(f"{count} events {kind}", lambda _: len(found()) >= count, 120)
        return found()

    def wait(self, what: str, is_so: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """Look every second until the status is as expected; a host that is just being restarted is looked at again."""
        ends, last = time.monotonic() + seconds, {}
        while time.monotonic() < ends:
            try:
                last = self.status()
            except httpx.HTTPError:
                last = last or {}
            if last and is_so(last):
                return last
            time.sleep(1)
        raise AssertionError(f"Waited {seconds:.0f} s for: {what}. Status: {json.dumps(last, indent=1)[:6000]}")

    def predict(self, image: bytes) -> dict[str, Any]:
        answer = self.post(f"/loops/{self.loop}/predict", content=image, headers={"content-type": "image/jpeg"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
