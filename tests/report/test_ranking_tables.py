import numpy as np
import pytest

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.rankings import compare_rankings, evaluate_ranking
from corarec.evaluate.ranks import UserRankings
from corarec.evaluate.result import RankingPart, RankingTable
from corarec.report.ranking_tables import ranking_tables, ranking_texts, ranking_titles

CONFIG = BootstrapConfig(draws=1000)
AT_MOST = "\N{LESS-THAN OR EQUAL TO}"


def rankings(shift: float) -> UserRankings:
    values = np.linspace(0.1, 0.5, 40) + shift
    return UserRankings(
        np.arange(40),
        {"ndcg@10": values, "mrr": values / 2},
        5,
        6,
        np.zeros((40, 1), np.int64),
        {"coverage@10": 0.25},
    )


@pytest.fixture
def table() -> RankingTable:
    names = {"A": rankings(0.2), "B": rankings(0.0), "C": rankings(0.1)}
    evaluated = {name: evaluate_ranking(of, name, config=CONFIG) for name, of in names.items()}
    return RankingTable(
        dataset="Toy",
        split="test",
        items=1234,
        candidates=50,
        systems=[evaluated["A"], evaluated["B"]],
        references=[evaluated["C"]],
        comparisons=[
            compare_rankings(names["A"], names[other], ("A", other), config=CONFIG)
            for other in ("B", "C")
        ],
    )


def test_one_row_per_metric_and_a_note_on_what_it_stands(table: RankingTable) -> None:
    metrics, _ = ranking_texts(table)
    assert metrics.columns == ("Metric", "A", "interval", "B", "interval", "C", "interval")
    assert [row[0] for row in metrics.systems] == ["NDCG@10", "MRR", "Coverage@10"]
    assert metrics.systems[2][1:4] == ("0.250", "", "0.250")
    assert [metrics.systems[0][n] for n in (1, 3, 5)] == ["0.500", "0.300", "0.400"]
    assert "40 users, each with 1,234 items" in metrics.note
    assert "first 50 items" in metrics.note


def test_several_comparisons_are_corrected(table: RankingTable) -> None:
    _, tests = ranking_texts(table)
    minus = "\N{MINUS SIGN}"
    one = ("interval", "p", "Holm")
    assert tests.columns == ("Metric", f"A {minus} B", *one, f"A {minus} C", *one)
    ndcg = tests.systems[0]
    assert (ndcg[1], ndcg[3], ndcg[4]) == ("+0.200", f"{AT_MOST} 0.002", f"{AT_MOST} 0.004")
    assert "corrected for the 2 tests of one metric" in tests.note
    alone = table.model_copy(update={"comparisons": table.comparisons[:1]})
    assert "Holm" not in ranking_texts(alone)[1].columns
    assert len(ranking_texts(table.model_copy(update={"comparisons": []}))) == 1


def test_parts_of_the_users_have_tables_that_tell_the_smallest_lead(table: RankingTable) -> None:
    part = RankingPart(
        systems=table.systems, references=table.references, comparisons=table.comparisons
    )
    both = table.model_copy(update={"parts": {"with history": part, "without history": part}})
    texts = ranking_texts(both)
    assert ranking_titles(both)[2:] == ["Users with history", "Users without history"]
    assert [len(texts), len(ranking_tables(both))] == [4, 4]
    minus = "\N{MINUS SIGN}"
    assert f"The 40 users with history alone. In NDCG@10 A {minus} C is +0.100" in texts[2].note
    assert texts[2].systems == texts[0].systems
