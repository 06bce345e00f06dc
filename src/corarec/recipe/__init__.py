"""Recipes: what a run is made of, read, checked and written."""

from corarec.recipe.config import (
    FREE,
    FittedCF,
    RunConfig,
    bound_values,
    flat_values,
    load_recipe,
    write_config,
)
from corarec.recipe.training import TrainConfig

__all__ = [
    "FREE",
    "FittedCF",
    "RunConfig",
    "TrainConfig",
    "bound_values",
    "flat_values",
    "load_recipe",
    "write_config",
]
