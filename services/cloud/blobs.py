"""The BlobStore port over azure-storage-blob, which is imported when the first store is made."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from services.cloud.blob_rest import BlobRest
from services.cloud.identity import credential
from services.cloud.ports.storage import CLAIM, Blob, BlobInfo
from services.errors import ChangedMeanwhile, LoopBusy, NotFound, Upstream, UpstreamBusy

if TYPE_CHECKING:
    from azure.storage.blob import BlobLeaseClient, BlobProperties, ContainerClient

LEASE_SECONDS = 20
"""A process that was killed holds its loop this long at most."""
RENEW_SECONDS = 6
CHUNK = 4 << 20
"""Bytes of a download's request: the SDK's 32 MiB at first would be held for each stream."""
_LEASE_CODES = {"LeaseAlreadyPresent", "LeaseIdMissing", "LeaseIdMismatchWithLeaseOperation"}

log = logging.getLogger(__name__)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn the storage SDK's errors into ours, without their bodies (they can name accounts and signatures)."""
    from azure.core import exceptions as azure

    try:
        yield
    except azure.ResourceNotFoundError:
        raise NotFound(f"There is no {what}") from None
    except (azure.ResourceModifiedError, azure.ResourceExistsError) as error:
        if str(getattr(error, "error_code", "")) == "LeaseAlreadyPresent":
            raise LoopBusy(f"Somebody else holds the lease of {what}") from None
        raise ChangedMeanwhile(f"{what} has changed, or its lease was lost") from None
    except azure.HttpResponseError as error:
        raise _http_error(what, error.status_code, str(getattr(error, "error_code", ""))) from None
    except azure.AzureError as error:
        raise Upstream(f"Storage did not answer for {what}: {type(error).__name__}") from error


def _http_error(what: str, status: int | None, code: str) -> Exception:
    if code in _LEASE_CODES:
        return LoopBusy(f"Somebody else holds the lease of {what}")
    if status in {409, 412}:
        return ChangedMeanwhile(f"{what} has changed, or its lease was lost")
    kind = UpstreamBusy if status in {429, 503} else Upstream
    return kind(f"Storage answered {status} {code} for {what}")


class AzureLease:
    """A lease that a thread renews until it is released, or the process dies."""

    def __init__(self, client: BlobLeaseClient) -> None:
        """Start to renew an acquired lease."""
        self._client = client
        self._released = threading.Event()
        threading.Thread(target=self._renew, name="lease", daemon=True).start()

    @property
    def id(self) -> str:
        return str(self._client.id)

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            try:
                self._client.renew()
            except Exception as error:  # noqa: BLE001  # a lost lease shows at the next conditional write
                log.warning("A lease could not be renewed: %s", type(error).__name__)

    def release(self) -> None:
        """Give the lease back; one that expired meanwhile is fine."""
        self._released.set()
        try:
            self._client.release()
        except Exception as error:  # noqa: BLE001  # it expires by itself
            log.warning("A lease could not be released: %s", type(error).__name__)


class AzureBlobStore:
    """One container of one storage account."""

    def __init__(self, account_uri: str, container: str) -> None:
        """`account_uri` is the blob service's address, such as `https://name.blob.core.windows.net`."""
        from azure.storage.blob import ContainerClient, ExponentialRetry

        self._container: ContainerClient = ContainerClient(
            account_uri,
            container,
            credential(),
            retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3),
            max_single_get_size=CHUNK,
            max_chunk_get_size=CHUNK,
            logging_enable=False,
        )
        self._rest = BlobRest(account_uri, container)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        yield from self._rest.list(prefix)

    def folders(self, prefix: str = "") -> Sequence[str]:
        with storage_errors(f"container for {prefix}"):
            names = [b.name for b in self._container.walk_blobs(name_starts_with=prefix or None, delimiter="/")]
        return [name[len(prefix) : -1] for name in names if name.endswith("/")]

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        if length:
            return self._rest.read(name, offset, length)
        with storage_errors(f"blob {name}"):
            found = self._container.download_blob(name, offset=offset or None, length=length)
            return Blob(found.readall(), _etag(found.properties))

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        with storage_errors(f"blob {name}"):
            yield from self._container.download_blob(name, **_if_match(etag)).chunks()

    def write(
        self,
        name: str,
        data: bytes,
        *,
        etag: str | None = None,
        create: bool = False,
        lease: str | None = None,
        claim: str = "",
    ) -> str:
        options = _if_match(etag) | ({"lease": lease} if lease else {})
        if claim:
            options["metadata"] = {CLAIM: claim}
        with storage_errors(f"blob {name}"):
            answer = self._container.get_blob_client(name).upload_blob(data, overwrite=not create, **options)
            return str(answer["etag"])

    def append(self, name: str, data: bytes) -> None:

        client = self._container.get_blob_client(name)
        try:
            with storage_errors(f"blob {name}"):
                client.append_block(data)
        except NotFound:
            with storage_errors(f"blob {name}"), _already_there():
                client.create_append_blob(if_none_match="*")
            with storage_errors(f"blob {name}"):
                client.append_block(data)

    def delete(self, name: str) -> None:
        try:
            with storage_errors(f"blob {name}"):
                self._container.delete_blob(name)
        except NotFound:
            return

    def lease(self, name: str) -> AzureLease:
        from azure.storage.blob import BlobLeaseClient

        with storage_errors(f"blob {name}"):
            client = BlobLeaseClient(self._container.get_blob_client(name))
            client.acquire(lease_duration=LEASE_SECONDS)
            return AzureLease(client)


@contextmanager
def _already_there() -> Iterator[None]:
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

    try:
        yield
    except (ResourceExistsError, ResourceModifiedError):
        return


def _if_match(etag: str | None) -> dict[str, Any]:
    from azure.core import MatchConditions

    return {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag is not None else {}


def _etag(properties: BlobProperties) -> str:
    return str(properties.etag)
