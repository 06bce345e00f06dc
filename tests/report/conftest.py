from collections.abc import Callable

import numpy as np
import pytest

from corarec.evaluate import BootstrapConfig, ResultTable, compare, evaluate
from corarec.report.data import ReportData
from corarec.types import ScoreTable

MakeScores = Callable[..., ScoreTable]


@pytest.fixture
def make_scores() -> MakeScores:
    """Build a seeded score table whose scores are logits of the labels."""

    def make(signal: float = 1.0, seed: int = 0, rows: int = 300) -> ScoreTable:
        labels = np.random.default_rng(0).integers(0, 2, rows)
        noise = np.random.default_rng(seed).normal(size=rows)
        return ScoreTable(
            user_ids=np.arange(rows) % 30 + 1,
            item_ids=np.arange(rows) % 17 + 1,
            labels=labels,
            warm=np.arange(rows) % 3 > 0,
            scores=signal * (labels - 0.5) + noise,
        )

    return make


@pytest.fixture
def results(make_scores: MakeScores) -> ResultTable:
    """Two systems, one of them with a name that is not safe in HTML, and one reference."""
    config = BootstrapConfig(draws=40)
    cora = [make_scores(2.0, seed) for seed in (1, 2)]
    text, rate = make_scores(0.5, 3), make_scores(0.8, 4)
    return ResultTable(
        dataset="Toy",
        split="test",
        systems=[
            evaluate(cora, "CoRA-MF", config=config),
            evaluate(text, "Text <only> & more", config=config),
        ],
        references=[evaluate(rate, "Item rate", config=config)],
        comparisons=[compare(cora, text, ("CoRA-MF", "Text <only> & more"), config=config)],
    )


@pytest.fixture
def data(results: ResultTable) -> ReportData:
    """The smallest report: a title and results."""
    return ReportData(title="A report", results=results)
