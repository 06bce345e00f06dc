"""CoRA and its rivals: collaborative filtering as generated weights for a frozen LLM.

- `load_run(folder)`: open a trained run; `.score(frame)`, `.recommend(user, k=10)`
- `Client(url)`: ask a run that `corarec serve` serves, with the methods of a run
- `train_run(config, folder)`: train what a recipe describes, or go on where it was stopped
- `load_recipe(path)`, `RunConfig`: recipes
- `Dataset`, `prepare`: data (`corarec.data`)
- `fit_cf`, `load_cf`: collaborative filtering (`corarec.cf`)
- `CoraConfig`, `GeneratorConfig`: CoRA as a PEFT method (`corarec.adapter`)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corarec.adapter import CoraConfig, GeneratorConfig
    from corarec.cf import fit_cf, load_cf
    from corarec.client import Client
    from corarec.data import Dataset, prepare
    from corarec.recipe import RunConfig, load_recipe
    from corarec.runs import Run, load_run
    from corarec.train import train_run

__version__ = "0.1.0"

__all__ = [
    "Client",
    "CoraConfig",
    "Dataset",
    "GeneratorConfig",
    "Run",
    "RunConfig",
    "fit_cf",
    "load_cf",
    "load_recipe",
    "load_run",
    "prepare",
    "train_run",
]

_HOMES = {
    "Client": "client",
    "CoraConfig": "adapter",
    "Dataset": "data",
    "GeneratorConfig": "adapter",
    "Run": "runs",
    "RunConfig": "recipe",
    "fit_cf": "cf",
    "load_cf": "cf",
    "load_recipe": "recipe",
    "load_run": "runs",
    "prepare": "data",
    "train_run": "train",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: torch and transformers take seconds to import.
    if name not in _HOMES:
        raise AttributeError(f"module 'corarec' has no attribute {name!r}")
    return getattr(import_module(f"corarec.{_HOMES[name]}"), name)
