"""What the systems that ask a language model about a pair share: a prompt and an answer."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import model_validator

from corarec.backbone import Backbone
from corarec.backbone.attention import NotSharedError
from corarec.backbone.last_position import LastPosition
from corarec.backbone.sharing import PrefixSharing
from corarec.prompts import PromptConfig, PromptEncoder, PromptToken, check_slots
from corarec.prompts.templates import TITLE
from corarec.prompts.tokens import TokenRow
from corarec.recommenders.answer_head import AnswerHead
from corarec.recommenders.language import LanguageRecommender, LanguageSystem, Reading
from corarec.recommenders.phase import Phase
from corarec.recommenders.pointwise import PointwiseRecommender
from corarec.recommenders.shared import SHARED, PromptSharing
from corarec.score.batches import Batch, Examples, by_length
from corarec.types import IntArray, Pairs

AnswerScore = Literal["yes", "yes-minus-no"]
_ONE_AT_A_TIME = threading.Lock()


class PromptSystem(LanguageSystem):
    """What the config of every system that asks about a pair holds."""

    added_slots: ClassVar[frozenset[str]] = frozenset()
    """The slots of the prompt that the system fills beside titles and nouns."""
    needed_slots: ClassVar[frozenset[str]] = frozenset()
    """Those of them that must be in the prompt of the trained system."""

    prompt: PromptConfig = PromptConfig()
    """How a pair becomes text."""
    answer: AnswerScore = "yes"
    """The score: `yes` is the logit of Yes (the authors' code), `yes-minus-no` its distance to the
    logit of No."""

    @property
    def learns_logits(self) -> bool:
        """The logits of pairs are what it learns."""
        return True

    @model_validator(mode="after")
    def _check_slots(self) -> Self:
        check_slots(self.prompt, self.added_slots, self.needed_slots)
        return self


@dataclass
class PromptInputs:
    """Pairs as prompts, tokenised when a batch asks for them."""

    pairs: Pairs
    encoder: PromptEncoder
    new_titles: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.lengths: IntArray = self.encoder.lengths(self.pairs, self.new_titles)
        self._rows: list[TokenRow] | None = None

    def tokenise(self) -> None:
        """Tokenise all prompts now, so that `lengths` are tokens and batches have their ids."""
        if self._rows is None:
            self._rows = self.encoder.rows(self.pairs, self.new_titles)
            self.lengths = np.array([len(row.ids) for row in self._rows], dtype=np.int64)

    def beginnings(self) -> IntArray:
        """Return a number for what stands before each title, the same for the same: [N]."""
        self.tokenise()
        assert self._rows is not None
        known: dict[bytes, int] = {}
        starts = [row.ids[: row.spans[TITLE][0]].tobytes() for row in self._rows]
        return np.array([known.setdefault(start, len(known)) for start in starts], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        """Return `input_ids` and `attention_mask` (both [B, T]) and where the slots are.

        `title_start` [B] is the first token of the target title; the positions of the soft tokens
        of a slot, [B, n], bear its name and `_positions`.
        """
        if self._rows is None:
            encoded = self.encoder.encode(self.pairs.take(rows), self.new_titles)
        else:
            encoded = self.encoder.padded([self._rows[row] for row in rows])
        return {
            "input_ids": encoded.input_ids,
            "attention_mask": encoded.attention_mask,
            "title_start": encoded.starts[TITLE],
            **{f"{name}_positions": places for name, places in encoded.soft.items()},
        }


class PromptRecommender(LanguageRecommender, PromptSharing, PointwiseRecommender):
    """A causal language model that answers Yes or No to a prompt.

    Parameters
    ----------
    model
        The causal language model, plain or wrapped by PEFT.
    backbone
        What `model` was made from: tokenizer and answer tokens.
    encoder
        Renders and tokenises pairs.
    """

    config_class: ClassVar[type[PromptSystem]]

    def __init__(
        self, model: Any, backbone: Backbone, encoder: PromptEncoder, answer: AnswerScore
    ) -> None:
        super().__init__(model, backbone)
        self.encoder = encoder
        self.answer = answer
        self.answers = backbone.answers
        self.answer_head = AnswerHead((self.answers.yes, self.answers.no))

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> PromptInputs:
        """Gather the prompts of `pairs`."""
        return PromptInputs(pairs, self.encoder, new_titles)

    def shown(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> IntArray:
        """Return how many titles of the history stand in each prompt, the last of them: [N]."""
        return self.encoder.shown(pairs, new_titles)

    def reading(self, pairs: Pairs) -> Reading:
        """Return the prompts of `pairs`."""
        return Reading(
            tokens=self.encoder.token_counts(pairs),
            max_length=self.encoder.max_length,
            example=self.encoder.render(pairs.take(slice(0, 1)))[0],
            answers=str(self.answers),
        )

    def tokens(self, pairs: Pairs) -> list[list[PromptToken]] | None:
        """Return the prompt of every pair token by token."""
        return self.encoder.tokens(pairs)

    def begin(self, phase: Phase) -> None:
        """Take up a phase, its prompt too."""
        super().begin(phase)
        if phase.prompt is not None:
            self.encoder = self.encoder.with_config(phase.prompt)

    def adapter_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the adapter reads of a batch, by its keyword; most have none for pairs."""
        return {}

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer: [B]."""
        answers = self.answer_logits(attention_mask=batch["attention_mask"], **self.read(**batch))
        return self.logits_of(answers, batch)

    def scoring_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer, for less work where the language model allows it: [B].

        The last block runs for the last position alone, and what prompts of the batch have in
        common before the title is read once, where that depends on no pair.
        """
        if not self._answers_usually:
            return self.logits(**batch)
        with self.last_only():
            answers = self.answers_by_beginning(batch)
            return self.logits(**batch) if answers is None else self.logits_of(answers, batch)

    def scoring_order(self, examples: Examples) -> IntArray:
        """Return the rows of examples in the order to score them in: [N].

        Those that begin alike stand together where that is of use; otherwise the longest come
        first. From then on the lengths of the examples are tokens.
        """
        if not isinstance(examples, PromptInputs) or not len(examples):
            return by_length(examples)
        examples.tokenise()
        lengths = examples.lengths
        if self._answers_usually and self.begins_without_pairs:
            beginnings = examples.beginnings()
            number = int(beginnings.max()) + 1
            if number <= SHARED * len(examples) and isinstance(self.prefix_sharing, PrefixSharing):
                longest = np.zeros(number, dtype=np.int64)
                np.maximum.at(longest, beginnings, lengths)
                return np.lexsort((-lengths, beginnings, -longest[beginnings]))
        return by_length(examples)

    def last_only(self) -> AbstractContextManager[None]:
        """Return a context in which the last block runs for the last position, where it can."""
        last = self.last_position
        return last.only() if isinstance(last, LastPosition) else nullcontext()

    @property
    def last_position(self) -> LastPosition | NotSharedError:
        """What lets the language model answer for the last position alone, or why it cannot."""
        with _ONE_AT_A_TIME:
            return self._last_position

    @cached_property
    def _last_position(self) -> LastPosition | NotSharedError:
        try:
            with self.before_pairs(), torch.inference_mode(False):
                return LastPosition(self.base_model)
        except NotSharedError as reason:
            return reason

    @property
    def _answers_usually(self) -> bool:
        # Logits of another making may do with prompts what they like.
        return type(self).logits is PromptRecommender.logits

    def read(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `answer_logits` takes of a batch beside its mask, by keyword."""
        tokens = {"input_ids": batch["input_ids"]}
        return tokens | self.model_input(**batch) | self.adapter_input(**batch)

    def answer_logits(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None = None,
        last: torch.Tensor | None = None,
        **extra: Any,
    ) -> torch.Tensor:
        """Return the logit of the answer after each prompt: [B].

        Only the last position is projected onto the vocabulary, and onto the answers in float32.

        Parameters
        ----------
        attention_mask
            [B, T] with 0 on padding, or what else the model takes; None where there is no padding.
        inputs_embeds
            [B, T, H] what the model reads in place of the embeddings of `input_ids`.
        last
            [B] place of each row's last token, where that is not the last column.
        **extra
            Go to the model; `position_ids` are otherwise counted from each row's first token.
        """
        read: dict[str, torch.Tensor] = {"input_ids": input_ids}
        if inputs_embeds is not None:
            read = {"inputs_embeds": inputs_embeds}
        if attention_mask is not None:
            extra = self.positions(attention_mask) | extra
        # Not `1`: a slice of the last position is not contiguous, and PyTorch then copies the whole
        # vocabulary matrix once per row.
        kept = torch.tensor([-1], device=input_ids.device) if last is None else last.unique()
        with self.answer_head.precise(self.base_model):
            output = self.model(
                **read,
                attention_mask=attention_mask,
                logits_to_keep=kept,
                **({"use_cache": False} | extra),
            )
        logits = output.logits
        if last is None:
            logits = logits[:, -1]
        else:
            only_kept = logits.shape[1] == len(kept)
            places = torch.searchsorted(kept, last) if only_kept else last
            logits = logits[torch.arange(len(last), device=logits.device), places.to(logits.device)]
        logits = logits.float()
        if self.answer == "yes":
            return logits[:, self.answers.yes]
        return logits[:, self.answers.yes] - logits[:, self.answers.no]

    def ways_to_share(self) -> Sequence[str]:
        """Return the ways in which it can read a common beginning once, the quickest first."""
        return super().ways_to_share() if self._answers_usually else ()
