"""The value of a trial: a metric on the validation rows, of the weights that its run kept."""

import math
from pathlib import Path

import numpy as np

from corarec.data import Dataset
from corarec.errors import TrainingError
from corarec.evaluate.metrics import MetricRows, metric_named
from corarec.recipe import RunConfig
from corarec.recommenders import RECOMMENDERS, TrainingData
from corarec.recommenders.language import LanguageRecommender
from corarec.runs import load_run
from corarec.score.scorer import Scorer
from corarec.train.metrics import best_record, read_metrics
from corarec.train.run import training_rows, validation_rows
from corarec.tune.trials import Ended
from corarec.types import FloatArray, IntArray


def measure(folder: Path, config: RunConfig, dataset: Dataset, metric: str) -> Ended:
    """Return what a finished run is worth, and at which step its weights were.

    They are those that the system's own metric chose on the same rows.

    Raises
    ------
    TrainingError
        The metric has no finite value.
    """
    kind = RECOMMENDERS[config.system.name]
    records = read_metrics(folder)
    best = best_record(records, *kind.chosen_by(config.phases[-1].system))
    value: float | None
    if best is not None and f"valid_{metric}" in best:
        value = best[f"valid_{metric}"]
    else:  # another metric, or nothing was trained and so nothing validated
        recommender = load_run(folder, config.data).recommender
        value = _of_weights(recommender, config, dataset, metric)
    if value is None or not math.isfinite(value):
        raise TrainingError(f"The {metric} on validation is {value}, where a number was wanted.")
    step = None if best is None else int(best["step"])
    return Ended("complete", float(value), step, records[-1]["seconds"] if records else None)


def _of_weights(
    recommender: LanguageRecommender, config: RunConfig, dataset: Dataset, metric: str
) -> float | None:
    dataset = dataset.under(config.knowledge)
    rows = validation_rows(dataset, config.train)
    if metric == recommender.metric:
        learned = training_rows(dataset, config.phases[-1].train.train_from)
        return recommender.validation(TrainingData(dataset, learned, rows))()[metric]
    return value_of(metric, dataset, rows, Scorer(recommender).score(dataset.pairs(rows)))


def value_of(metric: str, dataset: Dataset, rows: IntArray, scores: FloatArray) -> float | None:
    """Return a metric of some rows with their scores, [N] both; None where it has no value."""
    users = np.unique(dataset.pairs(rows).user_ids, return_inverse=True)[1]
    return metric_named(metric).of(MetricRows(users, dataset.labels(rows), scores)).value
