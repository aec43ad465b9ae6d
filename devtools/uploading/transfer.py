"""Several files at once into a container. What fails is noted and the rest goes on; another run does what is left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from devtools.uploading.files import Done, Local, Remote, Tally, is_there, md5_of, metadata_of

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

BLOCK = 8 << 20
"""Bytes of a request: what a bad connection has to repeat at most."""
MOST_FAILURES = 20
"""In a row, before the rest is not tried either: nobody is there any more."""
SCOPE = "https://storage.azure.com/.default"


class NotSignedIn(Exception):
    """Azure would not know who asks."""


@contextmanager
def container(account: str, name: str, threads: int) -> Iterator[ContainerClient]:
    """A client with a connection for each thread; requests are tried again for about a minute."""
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient, ExponentialRetry

    session = requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=threads))
    with (
        session,
        DefaultAzureCredential() as credential,
        ContainerClient(
            account,
            name,
            _signed_in(credential),
            transport=RequestsTransport(session=session, session_owner=False),
            retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=5),
            max_single_put_size=BLOCK,
            max_block_size=BLOCK,
        ) as client,
    ):
        yield client


def _signed_in(credential: TokenCredential) -> TokenCredential:
    """Asked once before anything else: each request would repeat the question for a minute.

    Raises:
        NotSignedIn: none of the ways to sign in has a token.
    """
    from azure.core.exceptions import ClientAuthenticationError

    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # it lists nine ways to sign in, each at length
    try:
        credential.get_token(SCOPE)
    except ClientAuthenticationError:
        raise NotSignedIn from None
    return credential


def listed(client: ContainerClient, prefix: str) -> dict[str, Remote]:
    """What the container has below a prefix, by name."""
    blobs = client.list_blobs(name_starts_with=prefix, results_per_page=5000)
    return {b.name: Remote(int(b.size or 0), bytes(b.content_settings.content_md5 or b"").hex()) for b in blobs}


def transfer(
    client: ContainerClient,
    files: Sequence[Local],
    remote: Mapping[str, Remote],
    threads: int,
    told: Callable[[Tally], None],
) -> Tally:
    """Upload what is not there with the same bytes; `told` hears of every file."""
    tally, gone = Tally(len(files)), threading.Event()

    def put(local: Local) -> Done:
        if gone.is_set():
            raise TimeoutError(f"not tried after {MOST_FAILURES} failures in a row")
        return Done(remote[local.blob].md5, sent=False) if is_there(local, remote) else _upload(client, local)

    with ThreadPoolExecutor(threads) as pool:
        waiting = {pool.submit(put, local): local for local in files}
        row = 0
        try:
            for finished in as_completed(waiting):
                row = row + 1 if _note(tally, waiting[finished], finished) else 0
                if row >= MOST_FAILURES:
                    gone.set()
                told(tally)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tally


def _note(tally: Tally, local: Local, finished: Future[Done]) -> bool:
    """Count one file; returns whether it failed."""
    if error := finished.exception():
        tally.failed[local.blob] = sentence(error)
        return True
    done = finished.result()
    tally.md5[local.blob] = done.md5
    tally.uploaded += done.sent
    tally.skipped += not done.sent
    tally.uploaded_bytes += local.size if done.sent else 0
    return False


def sentence(error: BaseException) -> str:
    """One line without what a service may have put into its answer's body."""
    status, code = getattr(error, "status_code", None), getattr(error, "error_code", None)
    said = f"{status} {getattr(code, 'value', code) or ''}".strip() if status else str(error).partition("\n")[0][:200]
    return said or type(error).__name__


def _upload(client: ContainerClient, local: Local) -> Done:
    """Upload one file with its MD5; one that is written to meanwhile has failed, whatever was uploaded of it."""
    from azure.storage.blob import ContentSettings

    before, digest = local.file.stat(), md5_of(local.file)
    said: dict[str, Any] = {
        "content_settings": ContentSettings(content_md5=bytearray.fromhex(digest)),
        "metadata": metadata_of(local, digest),
    }
    with local.file.open("rb") as opened:
        client.upload_blob(local.blob, opened, length=before.st_size, overwrite=True, **said)
    after = local.file.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError("it was written to while it was uploaded: upload again")
    return Done(digest, sent=True)
