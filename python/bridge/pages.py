"""Memory in large pages: a fork copies a table of the pages that there are, and an end clears it, so that fewer of them make both faster.

A child that writes copies no more than before, because the system takes large pages apart for that.
"""

import ctypes
import sys

LARGE = 2 << 20
MADV_COLLAPSE = 25


def gather():
    """Makes large pages of the memory of this process, where the system can (Linux 6.1)."""
    if sys.platform != "linux":
        return
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for start, end in own():
        first, last = -(-start // LARGE) * LARGE, end // LARGE * LARGE
        if first < last:
            # What the system refuses stays as it is.
            advise(first, last - first, MADV_COLLAPSE)


def own():
    """Where memory is that belongs to no file: the heap, and what was asked for beside it."""
    try:
        with open("/proc/self/maps") as maps:
            lines = maps.read().splitlines()
    except OSError:
        return
    for line in lines:
        span, rights, _offset, _device, _number, *name = line.split()
        if rights == "rw-p" and name in ([], ["[heap]"]):
            start, end = span.split("-")
            yield int(start, 16), int(end, 16)
