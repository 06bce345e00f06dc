"""Rows of several lengths cut into forward passes, for the least work."""

import numpy as np

from corarec.types import IntArray

PASS_COST = 128
"""What a forward pass costs beside its tokens, in tokens."""


def passes(
    lengths: IntArray,
    most_tokens: int,
    most_rows: int | None = None,
    most_lengths: int | None = None,
) -> list[tuple[IntArray, int]]:
    """Return the rows of each pass and its width, the widest first: every row once.

    All rows of a pass are padded to its width. Many short passes have little padding, few long ones
    little else: of all ways to cut the lengths in order, this is the one with the least tokens,
    `PASS_COST` for each pass among them.

    Parameters
    ----------
    lengths
        [N] tokens of each row.
    most_tokens
        In a pass, padding included, unless one row has more.
    most_rows, most_lengths
        How many rows, and different lengths, a pass may hold; None: any number.
    """
    most = len(lengths) if most_rows is None else most_rows
    order = np.argsort(-lengths, kind="stable")
    widths, counts = (values[::-1] for values in np.unique(lengths, return_counts=True))
    until = np.concatenate([[0], np.cumsum(counts)])
    least = np.zeros(len(widths) + 1)
    begins = np.zeros(len(widths) + 1, dtype=np.int64)
    for end in range(1, len(widths) + 1):
        first = 0 if most_lengths is None else max(0, end - most_lengths)
        rows, width = until[end] - until[first:end], widths[first:end]
        each = np.clip(most_tokens // np.maximum(width, 1), 1, most)
        cost = least[first:end] + rows * width + PASS_COST * -(-rows // each)
        begins[end] = first + int(np.argmin(cost))
        least[end] = cost[begins[end] - first]
    found: list[tuple[IntArray, int]] = []
    end = len(widths)
    while end:
        first = int(begins[end])
        widest = int(widths[first])
        count = min(max(most_tokens // max(widest, 1), 1), most)
        rows_of_pass = order[until[first] : until[end]]
        parts = np.array_split(rows_of_pass, -(-len(rows_of_pass) // count))
        found += [(part.astype(np.int64), widest) for part in reversed(parts)]
        end = first
    return found[::-1]
