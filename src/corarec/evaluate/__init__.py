"""Scores and labels in, numbers out: metrics with intervals, paired tests, ranks of a catalogue.

It sees `ScoreTable`s and numpy arrays; it knows no recommender, no folder and no terminal.
"""

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.compare import compare
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.metrics import UserAucs, auc, uauc, user_aucs
from corarec.evaluate.parts import Parts, interaction_parts, item_parts, warm_cold_parts
from corarec.evaluate.rankings import compare_rankings, evaluate_ranking
from corarec.evaluate.ranks import RankingConfig, UserRankings, rank_users
from corarec.evaluate.result import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    PartComparison,
    PartEvaluation,
    RankingComparison,
    RankingEvaluation,
    RankingPart,
    RankingTable,
    ResultTable,
)
from corarec.evaluate.rows import Tables

__all__ = [
    "BootstrapConfig",
    "Comparison",
    "Difference",
    "Estimate",
    "Evaluation",
    "PartComparison",
    "PartEvaluation",
    "Parts",
    "RankingComparison",
    "RankingConfig",
    "RankingEvaluation",
    "RankingPart",
    "RankingTable",
    "ResultTable",
    "Tables",
    "UserAucs",
    "UserRankings",
    "auc",
    "compare",
    "compare_rankings",
    "evaluate",
    "evaluate_ranking",
    "interaction_parts",
    "item_parts",
    "rank_users",
    "uauc",
    "user_aucs",
    "warm_cold_parts",
]
