"""Use after training: pairs in, probabilities out; a person in, recommendations out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corarec.score.run import Run, load_run

__all__ = ["Run", "load_run"]


def __getattr__(name: str) -> Any:
    # The scorer is imported by systems, which a run is made of.
    if name not in __all__:
        raise AttributeError(f"module 'corarec.score' has no attribute {name!r}")
    from corarec.score import run

    return getattr(run, name)
