"""Prompts that begin alike: the beginning is read once, and only what follows for every row."""

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch

from corarec.backbone.sharing import TOLERANCES, NotSharedError, PrefixSharing
from corarec.backbone.splitting import SplitPrompts, split_prompts
from corarec.score.batches import BATCH_PAIRS, Batch, pass_tokens
from corarec.score.passes import passes

KEYS, CACHE = "shared keys and values", "a copied cache"
"""Ways to read a common beginning once: the attention joins its keys and values with those of every
row; or the model's own cache of it is copied for every row."""
TOLERANCE, TOLERANCE_16_BIT = 1e-3, 0.1
"""How far logits may lie from those of whole prompts, relative to the largest or to 1."""
WORTHWHILE = 0.2
"""The share of a prompt that others must have in common with it."""
SHARED = 0.85
"""The share of tokens that reading beginnings once may leave at most, to be worth it."""
ROWS_OF_A_PASS = 2 * BATCH_PAIRS
"""How many rows meet shared keys and values at once, at most."""
LENGTHS_OF_A_PASS = 4
"""How many different lengths rows may have whose cache is copied: for each, the last projection
runs once for all of them."""
_ONE_AT_A_TIME = threading.Lock()
_PER_TOKEN = frozenset({"input_ids", "inputs_embeds", "cf_active"})
"""What a language model gets in the shape [B, T, ...]."""


def of_suffix(read: dict[str, torch.Tensor], width: int) -> dict[str, torch.Tensor]:
    """Return what is read of the last `width` tokens of every row."""
    return {
        name: value[:, value.shape[1] - width :] if name in _PER_TOKEN else value
        for name, value in read.items()
    }


def padded_behind(
    read: dict[str, torch.Tensor], sizes: torch.Tensor, width: int
) -> dict[str, torch.Tensor]:
    """Return what is read of the last `sizes: [B]` tokens of every row, in the first columns.

    The row's last token stands again in those behind, up to `width`: what comes later changes
    nothing in a causal model, so that neither a mask nor positions are needed.
    """
    found = {}
    for name, value in read.items():
        if name in _PER_TOKEN:
            last = value.shape[1] - 1
            columns = last + 1 - sizes[:, None] + torch.arange(width, device=sizes.device)
            rows = torch.arange(len(sizes), device=sizes.device)[:, None]
            value = value[rows, columns.clamp(max=last)]
        found[name] = value
    return found


def common_tokens(batch: Batch, soft: dict[str, torch.Tensor]) -> int:
    """Return how many tokens all prompts begin with before a title or a soft vector of their own.

    Parameters
    ----------
    soft
        [B, n, H] the soft vectors by slot.
    """
    ids, padding = batch["input_ids"], batch["input_ids"].shape[1] - batch["attention_mask"].sum(1)
    bound = int((batch["title_start"] - padding).min())
    for slot, vectors in soft.items():
        places = batch.get(f"{slot}_positions")
        if places is not None and not torch.equal(vectors, vectors[:1].expand_as(vectors)):
            bound = min(bound, int((places - padding[:, None]).min()))
    # The last token of a prompt is never a common one: its answer is asked for.
    bound = min(bound, int(batch["attention_mask"].sum(1).min()) - 1)
    if bound <= 0:
        return 0
    begun = ids.gather(1, padding[:, None] + torch.arange(bound, device=ids.device))
    alike = (begun == begun[:1]).all(dim=0)
    return bound if bool(alike.all()) else int(alike.int().argmin())


def is_worth_it(batch: Batch, common: int) -> bool:
    """Return whether reading `common` tokens apart saves more than it costs."""
    return common >= WORTHWHILE * float(batch["attention_mask"].sum(dim=1).float().mean())


class SharedPrompts:
    """Answers a batch of prompts that begin alike.

    Parameters
    ----------
    system
        In evaluation mode.
    batch
        Tensors of its pairs, [B, ...] each.
    common
        How many tokens all of them begin with.
    """

    def __init__(self, system: "PromptSharing", batch: Batch, common: int) -> None:
        self.system = system
        self.batch = batch
        self.common = common
        self.sizes = batch["attention_mask"].sum(dim=1)
        self.width = batch["input_ids"].shape[1]

    def prefix(self) -> dict[str, torch.Tensor]:
        """Return what the model reads of the common beginning: [1, P] or [1, P, H]."""
        row = self._rows(torch.zeros(1, dtype=torch.int64))
        first = self.width - int(self.sizes[0])
        span = slice(first, first + self.common)
        return {name: value[:, span] for name, value in self.system.model_input(**row).items()}

    def fast(self, sharing: PrefixSharing) -> torch.Tensor | None:
        """Return the logits, the beginning's keys and values never copied: [B].

        None where a layer would not see all of the longest prompt.
        """
        if int(self.sizes.max()) > sharing.reach:
            return None
        with self.system.before_pairs():
            prefixes = sharing.read(**self.prefix())
        logits = torch.empty(len(self.sizes), device=self.sizes.device)
        for rows, _ in self._passes(ROWS_OF_A_PASS):
            part = self._rows(rows)
            starts = self.width - self.sizes[rows] + self.common
            split = split_prompts(part["input_ids"], part["attention_mask"], starts)
            assert split is not None
            read = of_suffix(self.system.read(**part), split.suffix_ids.shape[1])
            with sharing.joined(prefixes, split) as mask:
                logits[rows] = self.system.answer_logits(
                    attention_mask=mask, position_ids=split.position_ids, **read
                )
        return logits

    def robust(self) -> torch.Tensor:
        """Return the logits by the model's own cache, copied for each pass: [B]."""
        with self.system.before_pairs():
            output = self.system.model(**self.prefix(), use_cache=True, logits_to_keep=1)
        name = "past_key_values" if output.get("past_key_values") is not None else "cache_params"
        logits = torch.empty(len(self.sizes), device=self.sizes.device)
        for rows, width in self._passes(BATCH_PAIRS, LENGTHS_OF_A_PASS):
            part = self._rows(rows)
            cache = deepcopy(output[name])
            cache.reorder_cache(torch.zeros_like(rows))
            sizes = self.sizes[rows] - self.common
            read = padded_behind(self.system.read(**part), sizes, width)
            logits[rows] = self.system.answer_logits(
                attention_mask=None, use_cache=True, last=sizes - 1, **{name: cache}, **read
            )
        return logits

    def _passes(
        self, most_rows: int, most_lengths: int | None = None
    ) -> Iterator[tuple[torch.Tensor, int]]:
        """Yield rows, and how many tokens follow the beginning of the longest of them."""
        lengths = (self.sizes - self.common).cpu().numpy()
        most_tokens = pass_tokens(self.sizes.device)
        for rows, width in passes(lengths, most_tokens, most_rows, most_lengths):
            yield torch.from_numpy(rows).to(self.sizes.device), width

    def _rows(self, rows: torch.Tensor) -> dict[str, Any]:
        return {name: values[rows.to(values.device)] for name, values in self.batch.items()}


def pays(split: SplitPrompts) -> bool:
    """Return whether reading beginnings apart leaves so few tokens that it is quicker."""
    tokens = split.prefix_ids.numel() + split.suffix_ids.numel()
    return tokens <= SHARED * len(split.suffix_ids) * split.length


def first_rows(split: SplitPrompts) -> torch.Tensor:
    """Return the first row of each beginning: [G]."""
    first = torch.full_like(split.prefix_ids[:, 0], len(split.rows))
    places = torch.arange(len(split.rows), device=split.rows.device)
    return first.scatter_reduce(0, split.rows, places, "amin")


class PromptSharing:
    """What a system with prompts can do where they begin alike; part of `PromptRecommender`."""

    model: Any

    @abstractmethod
    def model_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the language model reads of a batch, by its keyword."""

    @abstractmethod
    def read(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `answer_logits` takes of a batch beside its mask, by keyword."""

    @property
    @abstractmethod
    def takes_positions(self) -> bool:
        """Whether the language model can be told where its tokens stand."""

    @abstractmethod
    def answer_logits(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None = None,
        last: torch.Tensor | None = None,
        **extra: Any,
    ) -> torch.Tensor:
        """Return the logit of the answer after each prompt: [B]."""

    def logits_of(self, answers: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the logits of pairs by the language model's answers: [B]; as a rule these."""
        return answers

    def soft_vectors(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return what stands in each soft slot: [B, n, H] by slot."""
        return {}

    @property
    def begins_without_pairs(self) -> bool:
        """Whether the weights that read what comes before the title are the same for all pairs."""
        return True

    def before_pairs(self) -> AbstractContextManager[Any]:
        """Return the context in which the model reads what comes before the title."""
        return nullcontext()

    def last_only(self) -> AbstractContextManager[Any]:
        """Return a context in which the last block runs for the last position, where it can."""
        return nullcontext()

    def ways_to_share(self) -> Sequence[str]:
        """Return the ways in which it can read a common beginning once, the quickest first."""
        return (KEYS, CACHE) if self.begins_without_pairs else ()

    def share_tolerance(self) -> float:
        """Return how far logits in such a way may lie from plain ones."""
        exact = next(self.model.parameters()).dtype in TOLERANCES
        return TOLERANCE if exact else TOLERANCE_16_BIT

    def shared_logits(self, batch: Batch, way: str) -> torch.Tensor | None:
        """Return the logits of prompts that begin alike: [B]; None where they do not."""
        common = common_tokens(batch, self.soft_vectors(batch))
        if common == 0 or not is_worth_it(batch, common):
            return None
        prompts = SharedPrompts(self, batch, common)
        answers: torch.Tensor | None = None
        if way == CACHE:
            answers = prompts.robust()
        elif isinstance(sharing := self.prefix_sharing, PrefixSharing):
            with self.last_only():  # of what follows the beginning
                answers = prompts.fast(sharing)
        return None if answers is None else self.logits_of(answers, batch)

    def answers_by_beginning(self, batch: Batch) -> torch.Tensor | None:
        """Return the answers, each beginning before a title read once: [B].

        None where that depends on the pair, is not possible or does not pay.
        """
        if not self.begins_without_pairs:
            return None
        ids, attended, starts = (
            batch[name] for name in ("input_ids", "attention_mask", "title_start")
        )
        split = split_prompts(ids, attended, starts)
        if split is None or not pays(split):
            return None
        sharing = self.prefix_sharing
        if not isinstance(sharing, PrefixSharing) or not sharing.holds(split):
            return None
        first = first_rows(split)
        for slot, vectors in self.soft_vectors(batch).items():
            places = batch.get(f"{slot}_positions")
            if places is not None:
                others = (vectors != vectors[first[split.rows]]).any(dim=2)
                if bool((others & (places < starts[:, None])).any()):
                    return None
        read = self.read(**batch)
        prefix = {"input_ids": split.prefix_ids}
        if (embedded := read.get("inputs_embeds")) is not None:
            padding = ids.shape[1] - attended[first].sum(dim=1)
            columns = padding[:, None] + torch.arange(split.prefix_ids.shape[1], device=ids.device)
            columns = columns.clamp(max=ids.shape[1] - 1)
            prefix = {"inputs_embeds": embedded[first[:, None], columns]}
        with self.before_pairs():
            prefixes = sharing.read(**prefix)
        with sharing.joined(prefixes, split) as mask:
            return self.answer_logits(
                attention_mask=mask,
                position_ids=split.position_ids,
                **of_suffix(read, split.suffix_ids.shape[1]),
            )

    @property
    def prefix_sharing(self) -> PrefixSharing | NotSharedError:
        """What lets prompts share keys and values, or why they cannot."""
        with _ONE_AT_A_TIME:
            return self._prefix_sharing

    @cached_property
    def _prefix_sharing(self) -> PrefixSharing | NotSharedError:
        if not self.takes_positions:
            return NotSharedError("it takes no positions")
        try:
            with self.before_pairs(), torch.inference_mode(False):
                return PrefixSharing(getattr(self.model, "get_base_model", lambda: self.model)())
        except NotSharedError as reason:
            return reason
