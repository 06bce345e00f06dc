"""A ridge regression for every pair, over the rows of its user that are known to it."""

import numpy as np

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.cf.ranges import chunks, flat
from corarec.types import FloatArray, IntArray

ROWS_AT_ONCE = 8_192


def ridge(
    table: FloatArray,
    rows: KnownRows,
    targets: FloatArray,
    asked: Asked,
    penalty: float,
    offsets: FloatArray | None = None,
) -> FloatArray:
    """Return what is foretold for each item: `x_i (X'X + penalty I)^-1 X'(t - offset)`: [Q].

    `X` are the features of the items of the user's known rows, from `table: [I + 1, f]`, and `t`
    their `targets: [N]`, less the pair's own `offsets: [Q]`. Sums over a past are differences of
    running ones, so memory holds the rows of a few users at a time.
    """
    starts, ends = rows.ranges(asked.users, asked.until)
    result = np.zeros(len(asked))
    some = np.flatnonzero(ends > starts)
    if not len(some):
        return result
    # One user's pairs share the user's rows; chunks hold whole users.
    order = some[np.lexsort((ends[some], starts[some]))]
    begins = np.flatnonzero(np.diff(starts[order], prepend=-1))
    last = np.append(begins[1:], len(order)) - 1
    longest = ends[order[last]] - starts[order[begins]]
    shifts = np.zeros(len(asked)) if offsets is None else offsets
    for chunk in chunks(longest, ROWS_AT_ONCE):
        pairs = order[begins[chunk[0]] : last[chunk[-1]] + 1]
        features = table[asked.items[pairs]]
        weights = _weights(table, rows, targets, starts[pairs], ends[pairs], penalty, shifts[pairs])
        result[pairs] = (features * weights).sum(1)
    return result


def _weights(
    table: FloatArray,
    rows: KnownRows,
    targets: FloatArray,
    starts: IntArray,
    ends: IntArray,
    penalty: float,
    shifts: FloatArray,
) -> FloatArray:
    """Return the weights of each range of rows, of ranges that are in their order: [Q, f]."""
    width = table.shape[1]
    square = width * width
    begin, which = np.unique(starts, return_inverse=True)
    until = np.zeros(len(begin), dtype=np.int64)
    np.maximum.at(until, which, ends)
    lengths = until - begin
    low = (np.cumsum(lengths) - lengths)[which]
    high = low + ends - starts
    # Only sums at the ends of ranges are wanted: sum what lies between them, then run.
    cuts = np.unique(np.concatenate([low, high]))
    places, _ = flat(begin, until)
    x, t = table[rows.items[places]], targets[places]
    parts = np.concatenate(
        [(x[:, :, None] * x[:, None, :]).reshape(len(x), -1), x * t[:, None], x], axis=1
    )
    sums = np.zeros((len(cuts), parts.shape[1]))
    np.cumsum(np.add.reduceat(parts, cuts[:-1]), axis=0, out=sums[1:])
    low, high = np.searchsorted(cuts, low), np.searchsorted(cuts, high)
    ranges, back = np.unique(
        np.stack([low, high, shifts.view(np.int64)], axis=1), axis=0, return_inverse=True
    )
    shift = np.ascontiguousarray(ranges[:, 2]).view(np.float64)
    weights = np.empty((len(ranges), width))
    for some in np.array_split(np.arange(len(ranges)), len(ranges) // ROWS_AT_ONCE + 1):
        known = sums[ranges[some, 1]] - sums[ranges[some, 0]]
        moments = known[:, :square].reshape(-1, width, width) + penalty * np.eye(width)
        wanted = known[:, square : square + width] - shift[some, None] * known[:, -width:]
        weights[some] = np.linalg.solve(moments, wanted[:, :, None])[:, :, 0]
    return weights[back.reshape(-1)]
