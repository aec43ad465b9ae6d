"""What infra makes in Azure before the app is deployed: containers and queues."""

from __future__ import annotations

import contextlib

from emulator.supervisor.layout import (
    ACCOUNT_KEY,
    DATA_CONTAINER,
    QUEUES,
    SYSTEM_CONTAINER,
    WORKSPACE_CONTAINER,
    Layout,
)


def provision(layout: Layout) -> None:
    """Make what is not there yet."""
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    authority = str(layout.certificates / "ca.pem")
    blobs = BlobServiceClient(layout.urls["blob"], ACCOUNT_KEY, connection_verify=authority)
    queues = QueueServiceClient(layout.urls["queue"], ACCOUNT_KEY, connection_verify=authority)
    for container in (DATA_CONTAINER, SYSTEM_CONTAINER, WORKSPACE_CONTAINER):
        with contextlib.suppress(ResourceExistsError):
            blobs.create_container(container)
    for queue in (name for base in QUEUES for name in (base, f"{base}-poison")):
        with contextlib.suppress(ResourceExistsError):
            queues.create_queue(queue)
