"""What a system is told of the phase of training that begins."""

from dataclasses import dataclass, field

from corarec.prompts import PromptConfig
from corarec.recommenders.loss import LossConfig


@dataclass(frozen=True)
class Phase:
    """A phase of training; the default is a training that has only one."""

    name: str = ""
    """As the recipe calls it."""
    parameters: tuple[str, ...] | None = None
    """The parameter groups that are trained, the others frozen; None: all."""
    prompt: PromptConfig | None = None
    """The phase's prompt; None: the one that the system was built with."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is added to the system's own loss."""
    task: str | None = None
    """Which of the system's tasks it is for; None: the last, that of the trained system."""
