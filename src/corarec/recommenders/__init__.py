"""The systems of the benchmark, one file each."""

from corarec.recommenders.base import Recommender, TrainingData
from corarec.recommenders.registry import RECOMMENDERS, SystemConfig, build_recommender

__all__ = ["RECOMMENDERS", "Recommender", "SystemConfig", "TrainingData", "build_recommender"]
