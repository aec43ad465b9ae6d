"""The Queue port over azure-storage-queue, which is imported when the first queue is made."""

from __future__ import annotations

import math

from services.cloud.blobs import storage_errors
from services.cloud.identity import credential

_WEEK_SECONDS = 7 * 24 * 3600


class AzureQueue:
    """One queue; bodies are base64, as the Functions host's queue trigger expects by default."""

    def __init__(self, account_uri: str, name: str) -> None:
        """`account_uri` is the queue service's address."""
        from azure.storage.queue import QueueClient, TextBase64EncodePolicy

        self._name = name
        self._client = QueueClient(
            account_uri, name, credential(), message_encode_policy=TextBase64EncodePolicy(), retry_total=3
        )

    def send(self, body: str, *, delay: float = 0) -> None:
        visible_in = max(0, min(math.ceil(delay), _WEEK_SECONDS))
        with storage_errors(f"queue {self._name}"):
            # a message must outlive its own delay; -1 never expires
            self._client.send_message(body, visibility_timeout=visible_in, time_to_live=-1)
