"""Metrics of scores: AUC and UAUC with intervals, paired tests, references, ranking, tables.

The evaluator sees `ScoreTable`s and numpy arrays; it knows no recommender.
"""

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.compare import compare
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.metrics import UserAucs, auc, uauc, user_aucs
from corarec.evaluate.parts import Parts, interaction_parts, warm_cold_parts
from corarec.evaluate.ranking import (
    RankingComparison,
    RankingConfig,
    RankingEvaluation,
    RankingTable,
    UserRankings,
    compare_rankings,
    evaluate_ranking,
    rank_users,
    ranking_markdown,
    ranking_tables,
)
from corarec.evaluate.references import LabelledPairs, ReferenceConfig, TrivialReferences
from corarec.evaluate.result import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    PartComparison,
    PartEvaluation,
    ResultTable,
)
from corarec.evaluate.rows import Tables
from corarec.evaluate.tables import markdown, terminal_tables
from corarec.evaluate.test_log import (
    LoggedEvaluation,
    count_test_evaluations,
    log_test_evaluation,
    read_test_evaluations,
)

__all__ = [
    "BootstrapConfig",
    "Comparison",
    "Difference",
    "Estimate",
    "Evaluation",
    "LabelledPairs",
    "LoggedEvaluation",
    "PartComparison",
    "PartEvaluation",
    "Parts",
    "RankingComparison",
    "RankingConfig",
    "RankingEvaluation",
    "RankingTable",
    "ReferenceConfig",
    "ResultTable",
    "Tables",
    "TrivialReferences",
    "UserAucs",
    "UserRankings",
    "auc",
    "compare",
    "compare_rankings",
    "count_test_evaluations",
    "evaluate",
    "evaluate_ranking",
    "interaction_parts",
    "log_test_evaluation",
    "markdown",
    "rank_users",
    "ranking_markdown",
    "ranking_tables",
    "read_test_evaluations",
    "terminal_tables",
    "uauc",
    "user_aucs",
    "warm_cold_parts",
]
