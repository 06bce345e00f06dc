"""Where the generated weights act: the size of the increments of every block and weight."""

from collections.abc import Sequence

import polars as pl

from corarec.extras import needs
from corarec.report.chart import COLOURS, RIGHT, WIDTH, Chart, axes, colour, tip
from corarec.report.data import Weights
from corarec.report.figures import Figure

with needs("report"):
    from matplotlib.figure import Figure as Canvas


_NAME, _TITLE = "weights", "Size of the generated weights"
_LEFT, _HEAD, _BELOW = 46.0, 34.0, 12.0
_MOST_WRITTEN = 26
"""So many blocks have room for their numbers."""
_STRONGEST = 0.6


def weight_figure(weights: Weights) -> Figure:
    """Draw a cell for every block and weight, coloured by the increment's size."""
    norms = weights.norms
    if not norms:
        return Figure(_NAME, _TITLE, None, "This system adapts no weight, so none is generated.")
    relative = all(each.frozen for each in norms)
    sizes = {
        (each.block, each.weight): 100 * each.increment / (each.frozen or 1.0)
        if relative
        else each.increment
        for each in norms
    }
    blocks = sorted({block for block, _ in sizes}, key=lambda block: (block is None, block))
    columns = list(dict.fromkeys(weight for _, weight in sizes))
    cell = 22.0 if len(blocks) <= _MOST_WRITTEN else 9.0
    largest = max(sizes.values())
    height = cell * len(blocks)

    def draw(canvas: Canvas) -> None:
        on = axes(
            canvas,
            left=_LEFT,
            bottom=_BELOW,
            width=WIDTH - _LEFT - RIGHT,
            height=height,
            grid="",
        )
        on.set_xlim(0, len(columns))
        on.set_ylim(len(blocks), 0)
        for (block, weight), size in sizes.items():
            x, y = columns.index(weight), blocks.index(block)
            strength = _STRONGEST * size / largest if largest > 0 else 0.0
            (bar,) = on.bar(x + 0.5, 0.94, 0.97, y + 0.03, color=colour("s0"), alpha=strength)
            tip(bar, f"block {_block(block)}, {weight}: {_number(size)}{' %' * relative}")
            if cell > 10 and len(columns) <= 8:
                on.text(x + 0.5, y + 0.5, _number(size), ha="center", va="center", size=9.5)
        every = 1 if cell > 10 else 5
        on.set_yticks([n + 0.5 for n in range(0, len(blocks), every)])
        on.set_yticklabels([_block(block) for block in blocks[::every]])
        on.set_xticks([n + 0.5 for n in range(len(columns))])
        on.set_xticklabels(_short(columns))
        on.xaxis.tick_top()
        on.set_ylabel("block")
        on.spines["bottom"].set_visible(False)
        on.tick_params(labelcolor=COLOURS["soft"])

    unit = (
        "in per cent of the norm of the frozen weight"
        if relative
        else "as it is, for a frozen weight is not stored as plain numbers"
    )
    return Figure(
        _NAME,
        _TITLE,
        Chart(draw, "Size of the increments by block and weight", height + _HEAD + _BELOW),
        f"Mean Frobenius norm of the increment that a pair gets, over {weights.pairs:,} pairs, "
        f"{unit}. It says where the increments are large, not where they matter most.",
        [],
        pl.DataFrame(
            [(each.block, each.weight, each.increment, each.frozen) for each in norms],
            {
                "block": pl.Int64,
                "weight": pl.String,
                "increment_norm": pl.Float64,
                "frozen_norm": pl.Float64,
            },
            orient="row",
        ),
    )


def _block(block: int | None) -> str:
    return "\N{EN DASH}" if block is None else str(block)


def _number(size: float) -> str:
    if size >= 100:
        return f"{size:,.0f}"
    return f"{size:.1f}" if size >= 1 or size == 0 else f"{size:.1g}"


def _short(weights: Sequence[str]) -> list[str]:
    """Return names as a column has room for them, where they still differ."""
    last = [name.rpartition(".")[2].removesuffix("_proj") for name in weights]
    if len(set(last)) == len(weights):
        return last
    return [name.replace(".", ".\n") for name in weights]
