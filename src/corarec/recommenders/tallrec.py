"""TALLRec (Bao et al. 2023): LoRA tuned on a prompt of text. Text and nothing but text."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from corarec.backbone import Backbone
from corarec.prompts import PromptEncoder
from corarec.recommenders.base import TrainingData
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import AnswerScore, PromptRecommender, PromptSystem
from corarec.recommenders.lora import LoraSystem, with_lora
from corarec.recommenders.pointwise import LabelledExamples


class TALLRecSystem(LoraSystem):
    """TALLRec as one row of the benchmark, and the text-only control of every CoRA claim.

    It is the port that made CoRA's table: stage 1 of CoLLM, binary cross-entropy on the logit of
    Yes. The original is `loss: language-model`, `answer: yes-minus-no`, few `shots`, and a template
    with {disliked}.
    """

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("lora",)

    name: Literal["tallrec"] = "tallrec"
    loss: Literal["answer", "language-model"] = "answer"
    """What is learned: `answer` is the binary cross-entropy of the score, `language-model` the
    cross-entropy, over all words, of "Yes." or "No." after the prompt (the original)."""
    shots: Annotated[int, Field(gt=0)] | None = None
    """Learn from so many training rows, drawn by the run's seed; none: from all. The original has
    16 to 256."""

    @property
    def learns_logits(self) -> bool:
        """Not where it learns the words of the answer."""
        return self.loss == "answer"


class TALLRecRecommender(PromptRecommender):
    """LoRA on a language model that reads the plain prompt."""

    config_class: ClassVar[type[PromptSystem]] = TALLRecSystem

    def __init__(
        self,
        model: Any,
        backbone: Backbone,
        encoder: PromptEncoder,
        answer: AnswerScore,
        shots: tuple[int, int] | None = None,
        endings: tuple[list[int], list[int]] | None = None,
    ) -> None:
        super().__init__(model, backbone, encoder, answer)
        self.shots = shots
        """how many training rows, and the seed that draws them"""
        self.endings = endings
        """the tokens of the negative and of the positive answer, where they are learned as text"""

    @classmethod
    def build(cls, config: TALLRecSystem, ingredients: Ingredients) -> Self:
        """Put a LoRA on the model."""
        backbone = ingredients.backbone
        model = with_lora(backbone.model, config)
        shots = None if config.shots is None else (config.shots, ingredients.seed)
        endings = _endings(backbone) if config.loss == "language-model" else None
        encoder = ingredients.encoder(config.prompt)
        return cls(model, backbone, encoder, config.answer, shots, endings)

    def examples(self, data: TrainingData) -> LabelledExamples:
        """Return the training pairs, or the few of them that were drawn, with their labels."""
        if self.shots is None:
            return super().examples(data)
        count, seed = self.shots
        random = np.random.default_rng(seed)
        rows = random.choice(data.train_rows, min(count, len(data.train_rows)), replace=False)
        return super().examples(replace(data, train_rows=np.sort(rows)))

    @property
    def splits_batches(self) -> bool:
        """Whether a batch can be shared among processes."""
        return True

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        if self.endings is None:
            return super().forward(**batch)
        ids, mask, labels = batch["input_ids"], batch["attention_mask"], batch["labels"]
        width = max(map(len, self.endings))
        ignored = -100
        targets = torch.full((len(ids), width), ignored, device=ids.device)
        for n, label in enumerate(labels.long().tolist()):
            ending = self.endings[label]
            targets[n, : len(ending)] = torch.tensor(ending, device=ids.device)
        # The last token of an answer is predicted, never read.
        read = targets[:, :-1]
        ids = torch.cat([ids, read.clamp(min=0)], dim=1)
        mask = torch.cat([mask, (read != ignored).to(mask.dtype)], dim=1)
        extra = {}
        if self.takes_positions:
            extra["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        output = self.model(
            input_ids=ids, attention_mask=mask, logits_to_keep=width, use_cache=False, **extra
        )
        logits, wanted = output.logits.float().flatten(0, 1), targets.flatten()
        if self.gather is None:
            return functional.cross_entropy(logits, wanted, ignore_index=ignored)
        losses = functional.cross_entropy(logits, wanted, ignore_index=ignored, reduction="none")
        return self.gathered(losses).sum() / self.gathered(wanted != ignored).sum()


def _endings(backbone: Backbone) -> tuple[list[int], list[int]]:
    """Return the tokens of "No." and "Yes.", as the tokenizer writes them after a prompt."""
    answers, tokenizer = backbone.answers, backbone.tokenizer

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def ending(token: int, text: str) -> list[int]:
        # Behind a word the stop may be another token than alone.
        before, whole = ids(f"#Answer:{text}"), ids(f"#Answer:{text}.")
        stop = whole[len(before) :] if whole[: len(before)] == before else ids(".")
        return [token, *stop]

    yes, no = answers.texts
    return ending(answers.no, no), ending(answers.yes, yes)
