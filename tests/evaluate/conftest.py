from collections.abc import Callable, Sequence

import numpy as np
import pytest

from corarec.types import Histories, Pairs, ScoreTable

MakeTable = Callable[..., ScoreTable]
MakePairs = Callable[..., Pairs]


@pytest.fixture
def make_table() -> MakeTable:
    """Build a score table from lists; items count up and all rows are warm unless said."""

    def make(
        users: Sequence[int],
        labels: Sequence[int],
        scores: Sequence[float],
        items: Sequence[int] | None = None,
        warm: Sequence[bool] | None = None,
    ) -> ScoreTable:
        return ScoreTable(
            user_ids=np.array(users, dtype=np.int64),
            item_ids=np.array(items or range(1, len(users) + 1), dtype=np.int64),
            labels=np.array(labels, dtype=np.int64),
            warm=np.array(warm or [True] * len(users), dtype=np.bool_),
            scores=np.array(scores, dtype=np.float64),
        )

    return make


@pytest.fixture
def random_table(make_table: MakeTable) -> MakeTable:
    """Build a seeded table with ties, one-label users and users with one row."""

    def make(rows: int = 400, users: int = 40, seed: int = 0, signal: float = 1.0) -> ScoreTable:
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, rows)
        scores = np.round(generator.normal(size=rows) + signal * labels, 1)
        user_ids = np.minimum(generator.geometric(0.05, rows), users)
        return make_table(
            user_ids.tolist(),
            labels.tolist(),
            scores.tolist(),
            warm=(generator.random(rows) < 0.6).tolist(),
        )

    return make


@pytest.fixture
def make_pairs() -> MakePairs:
    """Build pairs from lists, with empty histories unless said."""

    def make(
        users: Sequence[int], items: Sequence[int], histories: Sequence[Sequence[int]] | None = None
    ) -> Pairs:
        return Pairs(
            user_ids=np.array(users, dtype=np.int64),
            item_ids=np.array(items, dtype=np.int64),
            histories=Histories.from_lists(histories or [[]] * len(users)),
        )

    return make
