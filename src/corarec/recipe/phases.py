"""The phases of a run: what each trains, and how."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corarec.prompts import PromptConfig, check_slots
from corarec.recipe.training import PhaseConfig, TrainConfig
from corarec.recommenders.language import LanguageSystem
from corarec.recommenders.llm import PromptSystem
from corarec.recommenders.phase import Phase

if TYPE_CHECKING:
    from corarec.recipe.config import RunConfig


@dataclass(frozen=True)
class PlannedPhase:
    """A phase with everything spelled out."""

    number: int
    """From 1 on; 0 where the recipe lists none."""
    last: bool
    system: Phase
    """What the system is told of it."""
    train: TrainConfig
    """How it is trained."""
    init_from: str | None = None
    """Where its weights come from, as the recipe says it."""

    @property
    def name(self) -> str:
        """Its name in the recipe; empty where that lists none."""
        return self.system.name

    def key(self, name: str) -> str:
        """Return the dotted key of one of its settings, such as `train.steps`."""
        return f"train.phases.{self.name}.{name}" if self.number else f"train.{name}"


def plan_phases(config: "RunConfig") -> list[PlannedPhase]:
    """Return the phases of a recipe; one without a name where it lists none."""
    train = config.train
    if not train.phases:
        return [PlannedPhase(0, True, Phase(loss=train.loss), train)]
    count = len(train.phases)
    return [
        PlannedPhase(
            number,
            number == count,
            Phase(
                phase.name,
                phase.parameters,
                phase_prompt(config.system, phase),
                course.loss,
                phase.task,
            ),
            course,
            phase.init_from,
        )
        for number, phase in enumerate(train.phases, start=1)
        for course in (train.of_phase(phase),)
    ]


def merged_prompt(prompt: PromptConfig, phase: PhaseConfig) -> PromptConfig:
    """Return a phase's prompt: that of the system with what the phase gives."""
    given = phase.prompt.model_fields_set if phase.prompt else ()
    return prompt.model_copy(update={key: getattr(phase.prompt, key) for key in given})


def phase_prompt(system: LanguageSystem, phase: PhaseConfig) -> PromptConfig | None:
    """Return a phase's prompt; None for systems that do not ask about a pair."""
    return merged_prompt(system.prompt, phase) if isinstance(system, PromptSystem) else None


def check_phases(system: LanguageSystem, train: TrainConfig) -> None:
    """See that a system has the parameter groups, tasks and slots that its phases name.

    Raises
    ------
    ValueError
        It has not.
    """
    groups = type(system).parameter_groups
    if train.phases and groups == ():
        raise ValueError("this system trains nothing, so that it has no phases; remove them")
    courses = [train.of_phase(phase) for phase in train.phases] or [train]
    if any(course.loss.compares for course in courses) and not system.learns_logits:
        raise ValueError(
            f"loss.pairwise and loss.negatives need logits of pairs, but {system.name!r} does not "
            "learn these as it is configured; set them to 0"
        )
    for phase in train.phases:
        for name in phase.parameters or ():
            if groups is not None and name not in groups:
                raise ValueError(
                    f"the phase {phase.name!r} trains {name!r}, but the parameter groups of "
                    f"{getattr(system, 'name', 'this system')!r} are {', '.join(groups)}"
                )
        _check_task(system, phase)
        if not isinstance(system, PromptSystem):
            if phase.prompt is not None:
                raise ValueError(
                    f"the phase {phase.name!r} gives a prompt, but {system.name!r} does not ask "
                    "about pairs; remove it"
                )
            continue
        needed = system.needed_slots if phase is train.phases[-1] else frozenset[str]()
        try:
            check_slots(merged_prompt(system.prompt, phase), system.added_slots, needed)
        except ValueError as error:
            raise ValueError(f"in the phase {phase.name!r} {error}") from error


def _check_task(system: LanguageSystem, phase: PhaseConfig) -> None:
    tasks = type(system).tasks
    if phase.task is None or phase.task in tasks:
        return
    known = f"its tasks are {', '.join(tasks)}" if tasks else "it has none; remove it"
    raise ValueError(
        f"the phase {phase.name!r} has the task {phase.task!r}, but {system.name!r} does not know "
        f"it: {known}"
    )
