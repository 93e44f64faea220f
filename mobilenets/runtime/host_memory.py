"""The memory of the process on a CPU, as glibc hands it out: the C library of Linux.

Elsewhere, with musl too, these functions do nothing.
"""

import ctypes
import os
import sys
from typing import Any

# From glibc's malloc.h and Linux' mman-common.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MADV_HUGEPAGE = 14
_HUGE_PAGE = 2**21


def use_huge_pages() -> None:
    """Asks for pages of 2 MB instead of 4 KB, and that they be kept for the next step.

    A training step on a CPU takes and frees some hundred MB of temporaries, which by
    default are fresh pages each time, zeroed one by one: of EfficientNet-B0 at 128
    pixels 88,000 a step, which then took a third longer. To be called before JAX
    computes, and once: what is allocated until then stays where it is.
    """
    libc = _glibc()
    if libc is None:
        return
    import jax

    # Else a step runs in a thread of its own, whose heap glibc takes down each time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    keep_heap()
    _advise_huge_pages(libc)


def keep_heap() -> None:
    """Keeps freed memory for the next block: it need not be zeroed again.

    Decoding a photograph takes and frees a MB, which is else 200 fresh pages.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_MAX, 0)  # large blocks come from the heap, too
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # which does not shrink by itself


def give_back() -> None:
    """Gives memory that is freed back to the system.

    Compiling a training step takes several hundred MB. glibc keeps them for the
    process, which never needs as much again.
    """
    libc = _glibc()
    if libc is None:
        return
    libc.malloc_trim(0)
    _advise_huge_pages(libc)  # the end of the heap, with its advice, is gone


def _advise_huge_pages(libc: Any) -> None:
    """Has the heap consist of huge pages as far as half of the memory.

    A block at its end is taken, advised and freed again: that needs no memory, only
    addresses. Without `use_huge_pages` such a block is no part of the heap, and
    nothing changes.
    """
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    block = libc.malloc(size)
    if not block:  # a system that promises no more memory than it has
        return
    start = -(-block // _HUGE_PAGE) * _HUGE_PAGE
    pages = (block + size - start) // _HUGE_PAGE
    libc.madvise(start, pages * _HUGE_PAGE, _MADV_HUGEPAGE)
    libc.free(block)


def _glibc() -> Any | None:
    """The C library of this process, if it is glibc."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        return None
    libc.malloc.argtypes = libc.malloc_trim.argtypes = [ctypes.c_size_t]
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc
