"""What is to be measured, and what is kept of the untouched model for those measured after it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corarec.ability.files import Task, TextSet
from corarec.ability.reading import Continued, Language
from corarec.ability.repetition import TASK
from corarec.errors import ConfigError
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.text import printable
from corarec.types import Fingerprint, FloatArray, IntArray, Pairs


@dataclass(frozen=True)
class Wanted:
    """What is to be measured."""

    tasks: Sequence[Task]
    texts: Sequence[TextSet]
    repeats: int
    """Descriptions to be repeated; 0 for none."""
    users: Sequence[str]
    """Raw ids of users whose increment is measured, where a run has increments."""
    item: str | None = None
    """Raw id of the item beside them."""
    limit: int | None = None
    """What `tasks` and `texts` were drawn with, for the record."""
    seed: int = 0
    batch_tokens: int = 4096
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)

    def __post_init__(self) -> None:
        if not (self.tasks or self.texts or self.repeats):
            raise ConfigError(
                "There is nothing to measure. Name questions with --data, texts with --text, or "
                "descriptions with --repeats."
            )
        first: dict[str, Path] = {TASK: Path("--repeats")} if self.repeats else {}
        named = [(task.name, task.path) for task in self.tasks]
        for name, path in [*named, *((text.name, text.path) for text in self.texts)]:
            if name in first:
                raise ConfigError(
                    f"{printable(first[name])} and {printable(path)} have one name, "
                    f"{printable(name)!r}, and results would be told apart by nothing. Rename one "
                    "of them."
                )
            first[name] = path

    def steps(self) -> int:
        """Return about how many texts are read for one state."""
        tasks = sum(len(task.examples) * (2 + self._choices(task)) for task in self.tasks)
        return tasks + sum(len(each.texts) for each in self.texts) + self.repeats

    @staticmethod
    def _choices(task: Task) -> int:
        return 2 * max(len(example.choices) for example in task.examples)


@dataclass
class Before:
    """What is kept of the untouched model, for those after it."""

    language: Language
    fingerprint: str
    dataset: Fingerprint
    """Fingerprint of the dataset that the descriptions were drawn from."""
    pairs: Pairs | None
    continued: dict[str, list[Continued]] = field(default_factory=dict)
    """By task: prompts and what the untouched model wrote."""
    followed: dict[str, tuple[list[IntArray], list[FloatArray]]] = field(default_factory=dict)
    """By task: the greedy tokens at the places of that, and its log-probabilities. Read as every
    other model reads it, all at once: token by token, low precision would round otherwise."""
    shortened: dict[str, int] = field(default_factory=dict)
