"""Files on this machine as a container that is only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from services.cloud.ports.storage import Blob, BlobInfo
from services.errors import ChangedMeanwhile, NotFound

CHUNK = 1 << 18


class LocalFiles:
    """Fits `BlobReader`; `files` are by blob name. `on_stream` hears of each file that is read as a whole."""

    def __init__(self, files: Mapping[str, Path], on_stream: Callable[[], None] = lambda: None) -> None:
        self._files, self._on_stream = files, on_stream

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        for name in sorted(self._files):
            if name.startswith(prefix):
                yield self._info(name)

    def _info(self, name: str) -> BlobInfo:
        try:
            found = self._files[name].stat()
        except (KeyError, OSError):
            raise NotFound(f"There is no file {name}") from None
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return BlobInfo(name, f'"{found.st_mtime_ns:x}-{found.st_size:x}"', found.st_size, modified)

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        etag = self._info(name).etag
        with self._files[name].open("rb") as file:
            file.seek(offset)
            return Blob(file.read(-1 if length is None else length), etag)

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        if etag is not None and self._info(name).etag != etag:
            raise ChangedMeanwhile(f"{name} has changed")
        with self._files[name].open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
        self._on_stream()
