"""Rows of several lengths cut into forward passes, for the least work."""

import numpy as np

from corarec.types import IntArray

PASS_COST = 128
"""What a forward pass costs beside its tokens, in tokens."""
ROWS_AT_LEAST = 8
"""Passes have a multiple of so many rows, but for the last: matrix products that come in few shapes
need few kernels, each of which takes time to make and memory to keep."""


def passes(
    lengths: IntArray, most_tokens: int, most_rows: int, most_lengths: int | None = None
) -> list[tuple[IntArray, int]]:
    """Return the rows of each pass and its width, the widest first: every row once.

    All rows of a pass are padded to its width. Many short passes have little padding, few long ones
    little else: of the ways to cut rows in order of their lengths, this is the one with the least
    tokens, `PASS_COST` for each pass among them.

    Parameters
    ----------
    lengths
        [N] tokens of each row.
    most_tokens
        In a pass, padding included.
    most_rows, most_lengths
        How many rows, and different lengths, a pass may hold; None: any number. `ROWS_AT_LEAST`
        rows may have more tokens and lengths.
    """
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    lengths = lengths[order]
    kinds = np.cumsum(np.diff(lengths, prepend=lengths[:1]) != 0)
    cuts = [*range(0, len(order), ROWS_AT_LEAST), len(order)]
    least, begins = [0.0], [0]
    for place in range(1, len(cuts)):
        least.append(np.inf)
        begins.append(place - 1)
        end = cuts[place]
        for before in range(place - 1, -1, -1):
            first = cuts[before]
            rows, width = end - first, int(lengths[first])
            kept = kinds[end - 1] - kinds[first] + 1
            if before < place - 1 and (
                rows > most_rows
                or rows * width > most_tokens
                or (most_lengths is not None and kept > most_lengths)
            ):
                break
            cost = least[before] + rows * width + PASS_COST
            if cost < least[place]:
                least[place], begins[place] = cost, before
    found: list[tuple[IntArray, int]] = []
    place = len(cuts) - 1 if len(order) else 0
    while place:
        first, end = cuts[begins[place]], cuts[place]
        found.append((order[first:end], int(lengths[first])))
        place = begins[place]
    return found[::-1]
