"""Use after training: pairs in, probabilities out; a person in, recommendations out."""

from corarec.score.run import Run, load_run

__all__ = ["Run", "load_run"]
