"""Ranking the whole catalogue: Recall@K, NDCG@K, HR@K and MRR, with intervals and paired tests."""

from corarec.evaluate.ranking.evaluate import compare_rankings, evaluate_ranking
from corarec.evaluate.ranking.ranks import RankingConfig, UserRankings, rank_users
from corarec.evaluate.ranking.result import RankingComparison, RankingEvaluation, RankingTable

__all__ = [
    "RankingComparison",
    "RankingConfig",
    "RankingEvaluation",
    "RankingTable",
    "UserRankings",
    "compare_rankings",
    "evaluate_ranking",
    "rank_users",
]
