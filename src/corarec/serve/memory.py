"""What a service holds of memory beyond what it uses, bounded.

Requests come in ever new shapes. For each of the latest 1,024 shapes of a product of matrices in 16
bits on a CPU, oneDNN keeps what it made for it, and so does torch in front of it: 0.6 MB each. And
what the C library's allocator has back from a batch it keeps, in pieces that the next one does not
fit into.
"""

import ctypes
import os

SHAPES = 128
"""Shapes that are kept: more than one pass through a model has, whose layers are alike."""
_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def keep_few_shapes() -> None:
    """Let few shapes be kept, unless the environment says how many; before anything is computed."""
    for name in _VARIABLES:
        os.environ.setdefault(name, str(SHAPES))


def give_back() -> None:
    """Return memory that is free to the system, where its C library can (that of GNU)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
