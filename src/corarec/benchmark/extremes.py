"""The predictions of an evaluated part that were most right and most wrong, explained."""

from dataclasses import dataclass

import numpy as np

from corarec.benchmark.results import read_scores
from corarec.data import Split
from corarec.runs import Run
from corarec.score.context import Context
from corarec.score.explain import Explanation
from corarec.types import FloatArray, IntArray


@dataclass(frozen=True)
class ExplainedRow:
    """A row of an evaluated part and why it was scored so."""

    user: str
    """Raw id."""
    label: int
    right: bool
    """Whether it is one of the most right ones; else of the most wrong ones."""
    explanation: Explanation


def explained_extremes(run: Run, split: Split, count: int) -> list[ExplainedRow]:
    """Explain the `count` predictions nearest to their labels and the `count` farthest from them.

    Each row sees what came before it, as when it was scored. Rows of train are left out: CF models
    leave their labels out of their vectors, which a pair that somebody asks about does not have.

    Raises
    ------
    ArtifactError
        The run was not evaluated on this split.
    """
    if split == "train":
        return []
    table = read_scores(run.folder, split)
    chosen = extreme_rows(table.labels, table.scores, count)
    pairs = run.dataset.pairs(split).take(chosen)
    assert pairs.disliked is not None
    users = run.knowledge.users.raw(pairs.user_ids)
    return [
        ExplainedRow(
            user=users[n],
            label=int(table.labels[row]),
            right=2 * n < len(chosen),
            explanation=run.explain_in(
                Context.of(int(pairs.user_ids[n]), pairs.histories, pairs.disliked, n),
                int(pairs.item_ids[n]),
            ),
        )
        for n, row in enumerate(chosen)
    ]


def extreme_rows(labels: IntArray, logits: FloatArray, count: int) -> IntArray:
    """Return the `count` most right rows, then the `count` most wrong; no row twice: [2 count]."""
    order = np.argsort(-np.where(labels == 1, logits, -logits), kind="stable")
    count = min(count, len(order) // 2)
    return np.concatenate([order[:count], order[::-1][:count]])
