"""Keeps exports as blocks of one size, so that none is ever whole in memory and any range of it is a blob or two.

The blocks of an export are immutable and have deterministic names and bytes: two processes that write the same export
at once write the same, and one that was killed is followed by one that writes it again. What is last is `export.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter

from services.cloud.ports.storage import BlobStore
from services.errors import NotFound

BLOCK = 8 << 20
"""Bytes of every block but the last."""
_SIZE = TypeAdapter(int)


class ExportStore:
    """The blocks of one export, below `folder`."""

    def __init__(self, system: BlobStore, folder: str) -> None:
        """`folder` ends with a slash, and is for this export only."""
        self._system, self._folder = system, folder

    def size(self) -> int | None:
        """Bytes of the export; None where it is not written yet."""
        try:
            return _SIZE.validate_json(self._system.read(f"{self._folder}export.json").data)
        except NotFound:
            return None

    def write(self, pieces: Iterable[bytes]) -> int:
        """Write the export, one block in memory at a time; returns its size."""
        size = 0
        for number, block in enumerate(blocks(pieces, BLOCK)):
            self._system.write(self._block(number), block)
            size += len(block)
        self._system.write(f"{self._folder}export.json", _SIZE.dump_json(size))
        return size

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, both within the export.

        Raises:
            NotFound: somebody deleted it.
        """
        numbers = range(start // BLOCK, -(-end // BLOCK))
        return b"".join(self._read_block(number, start, end) for number in numbers)

    def _read_block(self, number: int, start: int, end: int) -> bytes:
        first, last = max(start - number * BLOCK, 0), min(end - number * BLOCK, BLOCK)
        return self._system.read(self._block(number), offset=first, length=last - first).data

    def _block(self, number: int) -> str:
        return f"{self._folder}{number:05}"


def blocks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of `size`, the last one shorter."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)
