"""Writes small blobs of the system container by plain HTTP: no SDK is imported beside predictions.

Contract: https://learn.microsoft.com/rest/api/storageservices/put-blob
"""

from __future__ import annotations

from urllib.parse import quote

import urllib3

from services.cloud import identity
from services.cloud.http import pool
from services.errors import Upstream, UpstreamBusy
from services.settings import Settings

API_VERSION = "2021-08-06"
TIMEOUT_SECONDS = 10.0


class NoteWriter:
    """Puts whole blobs, over whatever is there."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is written yet."""
        self._base = f"{settings.system_blob_uri.rstrip('/')}/{settings.system_container}"

    def __call__(self, name: str, data: bytes) -> None:
        """Write once.

        Raises:
            Upstream: storage did not answer, or not as it should.
        """
        headers = {
            "authorization": f"Bearer {identity.token(identity.STORAGE)}",
            "x-ms-version": API_VERSION,
            "x-ms-blob-type": "BlockBlob",
        }
        url = f"{self._base}/{quote(name)}"
        try:
            answer = pool().request("PUT", url, body=data, headers=headers, timeout=TIMEOUT_SECONDS)
        except urllib3.exceptions.HTTPError as error:
            raise Upstream(f"Storage did not answer: {type(error).__name__}") from None
        if answer.status != 201:
            raise (UpstreamBusy if answer.status in {429, 503} else Upstream)(f"Storage answered {answer.status}")
