"""What becomes of the memory of requests: C's allocator keeps their buffers, Python looks for cycles less often."""

from __future__ import annotations

import gc
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 64 * 2**20
MAPPED_BYTES = 32 * 2**20
"""The most that glibc takes."""
COLLECTED_AFTER = 5_000
"""New objects before Python looks through the young ones; how often it then looks further is left as it is."""


def keep_freed_buffers() -> None:
    """Let glibc keep what was freed: it would give the buffers of each request back, and have them zeroed for the next.

    An image of 200 KB costs 80 page faults without, 0.4 ms where the process was idle between. Another C library is
    left as it is. Contract: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if sys.platform != "linux":
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def collect_less_often() -> None:
    """Leave what is imported out of the search for cycles, and search after more objects than Python's 700.

    A prediction makes some hundred objects and leaves no cycle behind: with 64 under way each search met the same live
    ones again, and a whole one, of all that was ever imported, held them all up for 50 ms.
    """
    gc.freeze()
    if 0 < gc.get_threshold()[0] < COLLECTED_AFTER:
        gc.set_threshold(COLLECTED_AFTER)
