"""Tuning: the values of a recipe's keys that are best on validation."""

from corarec.tune.settings import TuneConfig
from corarec.tune.space import Space, load_space
from corarec.tune.trials import Outcome, Trial
from corarec.tune.tuning import tune

__all__ = ["Outcome", "Space", "Trial", "TuneConfig", "load_space", "tune"]
