"""Recipes: what a run is made of, read, checked and written."""

from corarec.recipe.config import (
    FittedCF,
    RunConfig,
    bound_values,
    flat_values,
    free_keys,
    load_recipe,
    write_config,
)
from corarec.recipe.training import TrainConfig

__all__ = [
    "FittedCF",
    "RunConfig",
    "TrainConfig",
    "bound_values",
    "flat_values",
    "free_keys",
    "load_recipe",
    "write_config",
]
