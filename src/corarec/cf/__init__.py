"""Collaborative filtering: one frozen vector per user half and item half of every row.

`fit_cf` fits a model of `CF_MODELS` on a dataset, `load_cf` reads a fitted one; every model gives
`vector_table(pairs)`, which CoRA reads, and its own `score(pairs)`.
"""

from corarec.cf.base import CFModel, check_knowledge, not_fitted
from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.fit import FitConfig, cutoff_time, fit_cf, seen_rows
from corarec.cf.registry import CF_MODELS, load_cf
from corarec.cf.report import EpochRecord, FitCourse, FitReport, OnEpoch
from corarec.cf.source import VectorSource
from corarec.cf.tables import TableModel
from corarec.cf.vectors import VectorFamily, VectorTable

__all__ = [
    "CF_MODELS",
    "CFModel",
    "EpochRecord",
    "Feedback",
    "FitConfig",
    "FitCourse",
    "FitData",
    "FitReport",
    "OnEpoch",
    "TableModel",
    "Takes",
    "TrainingPairs",
    "VectorFamily",
    "VectorSource",
    "VectorTable",
    "check_knowledge",
    "cutoff_time",
    "fit_cf",
    "load_cf",
    "not_fitted",
    "seen_rows",
]
