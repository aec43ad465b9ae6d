"""Uploads as any user does: by the storage SDK, with the identity that the environment gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from demo.source import Upload
from services.catalogue.claims import claim_of_bytes
from services.cloud.ports.storage import CLAIM

AT_ONCE = 8


def upload(environment: Mapping[str, str], loop: str, files: Sequence[Upload], done: Callable[[int], None]) -> None:
    """Upload files into a loop's folder, in order as far as several at once allow; `done` hears how many are there.

    `environment` is the cloud's, and is also what os.environ must hold for the identity.
    """
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient

    account, container = environment["DataStorage__blobServiceUri"], environment["VISIONLOOP_DATA_CONTAINER"]
    with (
        DefaultAzureCredential() as credential,
        ContainerClient(account, container, credential) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):

        def put(file: Upload) -> None:
            claim = claim_of_bytes(data := file.read())
            client.upload_blob(f"{loop}/{file.name}", data, overwrite=True, metadata={CLAIM: claim} if claim else {})

        waiting = [pool.submit(put, file) for file in files]
        for number, finished in enumerate(as_completed(waiting), 1):
            finished.result()
            done(number)
