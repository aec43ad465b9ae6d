"""A zip file as a stream: each entry is passed on when it is written, and the same entries make the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

_TIME = (1980, 1, 1, 0, 0, 0)
Entry = tuple[str, Iterable[bytes]]


class _Pipe(io.RawIOBase):
    """What was written since it was last taken; it cannot be sought in, so sizes come after each entry's data."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        taken = bytes(data)
        self._waiting.append(taken)
        return len(taken)

    def take(self) -> bytes:
        taken, self._waiting = b"".join(self._waiting), []
        return taken


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Entries of name and content, in order."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as file:
                for data in content:
                    file.write(data)
                    yield pipe.take()
    yield pipe.take()
