"""How the values of trials are chosen."""

from typing import Annotated, Literal

from pydantic import Field

from corarec.types import Config


class TuneConfig(Config):
    """How many trials, and how they are drawn."""

    trials: Annotated[int, Field(gt=0, le=100_000)]
    """Trainings in all, failed and pruned ones included: the budget."""
    metric: str | None = None
    """What is best: the system's own validation metric, or one of `corarec.evaluate.metrics`."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """A tree-structured Parzen estimator, which learns from the trials before; values at random; or
    all combinations of choices, in random order."""
    prune: bool = False
    """Stop a trial whose best validation so far is below the median of the others at that step."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Of the sampler; the recipe's own is that of the trainings."""
