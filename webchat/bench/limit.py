"""The machine's own limit: to write one token, every weight must come from memory once.

So no single stream that computes its tokens one by one can write more of them per second than the memory's bandwidth
holds files of weights (the roofline model of Williams, Waterman and Patterson, 2009, at one operation per weight).
Streams together can, and guesses: one reading of the weights serves a whole batch.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import time
from dataclasses import dataclass

_BYTES = 256 << 20  # of all cores together: far more than any cache of a machine that one would serve from
_PASSES = 20  # a second or so; the best of them counts, because others' work can only slow a pass down


@dataclass(frozen=True)
class Limit:
    """What memory allows one stream.

    Attributes:
        bandwidth: bytes per second that all cores read together.
        bytes_per_token: of the weights that are multiplied; a table of embeddings is only looked up.
    """

    bandwidth: float
    bytes_per_token: int

    @property
    def tokens_per_second(self) -> float:
        """The most that one stream can reach."""
        return self.bandwidth / self.bytes_per_token


def machine_limit(bytes_per_token: int) -> Limit:
    """Measure the memory; the machine should be quiet."""
    return Limit(read_bandwidth(_BYTES, _PASSES), bytes_per_token)


def read_bandwidth(total: int, passes: int) -> float:
    """Bytes per second read from memory by one thread per core, the best of some passes.

    The C library's ``memchr`` looks for a byte that is not there: it reads everything once in vector registers, writes
    nothing, and ctypes lets the other threads run meanwhile.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    size = total // cores
    # Written once, because pages that never were are all the same one.
    buffers = [mmap.mmap(-1, size) for _ in range(cores)]
    places = [ctypes.addressof(ctypes.c_char.from_buffer(buffer)) for buffer in buffers]
    for place in places:
        ctypes.memset(place, 1, size)
    return size * cores / min(_read_once(places, size) for _ in range(passes))


def _read_once(places: list[int], size: int) -> float:
    """Seconds until every thread has read its buffer."""
    memchr = ctypes.CDLL(None).memchr
    memchr.argtypes, memchr.restype = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t), ctypes.c_void_p
    threads = [threading.Thread(target=memchr, args=(place, 0, size)) for place in places]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin
