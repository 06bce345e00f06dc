"""Training of the second stage, in run folders that can always be resumed."""

from corarec.train.config import TrainConfig
from corarec.train.run import train_run

__all__ = ["TrainConfig", "train_run"]
