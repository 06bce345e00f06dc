"""ICL (Dai et al. 2023): the frozen language model answers the plain prompt, nothing is trained."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from corarec.errors import ConfigError
from corarec.prompts import TextSlot
from corarec.prompts.templates import slot_names
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import AnswerScore, PromptRecommender, PromptSystem
from corarec.recommenders.shots import Shots

SHOTS = "shots"


class ICLSystem(PromptSystem):
    """In-context learning as one row of the benchmark: zero-shot, or with `shots` few-shot."""

    added_slots: ClassVar[frozenset[str]] = frozenset({SHOTS})

    parameter_groups: ClassVar[tuple[str, ...] | None] = ()

    name: Literal["icl"] = "icl"
    answer: AnswerScore = "yes-minus-no"
    """Untrained, the logit of Yes alone says more about the prompt than about the answer."""
    shots: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Answered examples in the prompt: training rows from before the pair, of its user where there
    are so many, else of others. They stand in the slot {shots} of the
    template, where it has none before it, and take half of `prompt.max_length` at most."""
    shot_history: Annotated[int, Field(ge=0)] = 3
    """How many liked titles an example shows."""
    shot_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    """Draws the examples; none: the run's seed does."""

    @property
    def needs_training_rows(self) -> bool:
        """Whether examples are shown."""
        return self.shots > 0


class ICLRecommender(PromptRecommender):
    """The frozen model's own opinion."""

    config_class: ClassVar[type[PromptSystem]] = ICLSystem

    @classmethod
    def build(cls, config: ICLSystem, ingredients: Ingredients) -> Self:
        """Take the model as it is."""
        backbone, prompt = ingredients.backbone, config.prompt
        if config.shots == 0:
            slots = {SHOTS: TextSlot(lambda pairs: [""] * len(pairs))}
            return cls(backbone.model, backbone, ingredients.encoder(prompt, slots), config.answer)
        if ingredients.dataset is None:
            raise ConfigError(
                "The prompts show training rows (system.shots), and these are not here. Use the "
                "run together with its dataset."
            )
        slot, plain = f"{{{SHOTS}}}", prompt.template
        if SHOTS in slot_names(plain):
            plain = plain.replace(slot, "")
        else:
            prompt = prompt.model_copy(update={"template": slot + plain})
        example = prompt.model_copy(
            update={"template": plain, "history_length": config.shot_history}
        )
        shots = Shots(
            ingredients.dataset,
            config.shots,
            ingredients.seed if config.shot_seed is None else config.shot_seed,
            ingredients.encoder(example, framed=False),
            backbone,
        )
        encoder = ingredients.encoder(prompt, {SHOTS: TextSlot(shots.fill)})
        return cls(backbone.model, backbone, encoder, config.answer)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was trained."""

    def load(self, folder: Path) -> None:
        """Read nothing: nothing was trained."""
