"""One prefix, many suffixes: the keys and values of what prompts have in common, computed once.

Within `PrefixSharing.read` a function in front of the model's attention notes keys and values,
within `PrefixSharing.joined` it joins them with those of the suffixes.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from corarec.backbone.attention import (
    EnoughError,
    NotSharedError,
    Substitute,
    Watcher,
    doing,
    standing_in_front,
)
from corarec.backbone.compiling import uncompiled
from corarec.backbone.splitting import SplitPrompts, split_prompts
from corarec.backbone.trial import check_alike, failing, made_up_prompts

TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4}
"""How far, relative to the largest, logits by a shared prefix may lie from those of the whole
prompt in the trial that every model undergoes."""

KeysAndValues = list[tuple[torch.Tensor, torch.Tensor]]


__all__ = ["NotSharedError", "PrefixSharing", "Prefixes", "join"]


class _Reading(Watcher):
    """Notes keys and values of the prefixes, layer by layer."""

    def __init__(self, layers: int | None) -> None:
        self.kept: KeysAndValues = []
        self._layers = layers

    @torch.compiler.disable
    def note(self, module: torch.nn.Module, key: torch.Tensor, value: torch.Tensor) -> None:
        self.kept.append((key, value))
        if len(self.kept) == self._layers:
            raise EnoughError


class _Joining(Substitute):
    """Gives the suffixes the keys and values of their prefixes, layer by layer."""

    def __init__(self, kept: KeysAndValues, rows: torch.Tensor, mask: torch.Tensor) -> None:
        self._kept = iter(kept)
        self._rows = rows
        self._mask = mask

    @torch.compiler.disable
    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None = None,
        softcap: float | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        past_key, past_value = next(self._kept)
        if len(past_key) not in (1, len(query)) or len(self._rows) != len(query):
            raise NotSharedError("its attention reads something else than the rows of the batch")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        # Of the last tokens alone, where only these have queries.
        mask = self._mask[:, :, -query.shape[2] :].to(query.device)
        return join(query, key, value, past_key, past_value, mask, scale, softcap), None


def join(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    past_key: torch.Tensor,
    past_value: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    softcap: float | None = None,
) -> torch.Tensor:
    """Attend to a prefix and to the suffix in one softmax: [B, S, heads, value size].

    Parameters
    ----------
    query
        [B, heads, S, size].
    key, value
        [B, key heads, S, size], of the suffix.
    past_key, past_value
        [B or 1, key heads, P, size], of the prefix. One for all rows is never copied: all their
        queries meet it in one product.
    mask
        [B or 1, 1, S, P + S], added to the scores.
    softcap
        Scores are bent to stay below it, as Gemma 2 does.
    """
    batch, heads, length, size = query.shape
    key_heads, past = past_key.shape[1:3]
    group = heads // key_heads
    grouped = query.reshape(batch, key_heads, group * length, size)
    on_past = _product(grouped, past_key.transpose(2, 3))
    scores = torch.cat([on_past, grouped @ key.transpose(2, 3)], dim=-1) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.view(batch, key_heads, group, length, -1) + mask.unsqueeze(2)
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    weights = weights.view(batch, key_heads, group * length, -1)
    mixed = _product(weights[..., :past], past_value) + weights[..., past:] @ value
    return mixed.reshape(batch, heads, length, -1).transpose(1, 2).contiguous()


def _product(x: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """Return `x: [B, heads, n, k] @ shared: [B or 1, heads, k, m]`."""
    if len(shared) == len(x):
        return x @ shared
    batch, heads, count, size = x.shape
    together = x.transpose(0, 1).reshape(heads, batch * count, size) @ shared[0]
    return together.view(heads, batch, count, -1).transpose(0, 1)


@dataclass(frozen=True)
class Prefixes:
    """The keys and values of prefixes: [G, key heads, P, size] both, for each layer."""

    kept: KeysAndValues


class PrefixSharing:
    """Lets the prompts of a causal language model share their prefixes.

    Every model undergoes a trial first: some made-up prompts are answered in both ways.

    Parameters
    ----------
    model
        The model itself, adapted or not, without PEFT around it. Its adapter, if any, must be off
        or of the kind that needs no vectors while the trial runs.

    Raises
    ------
    NotSharedError
        Its attention cannot be reached, or the answers differ.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.reach = _reach(model.config)
        self._layers: int | None = None
        with standing_in_front(model):
            self._try()

    def holds(self, split: SplitPrompts) -> bool:
        """Return whether every token of these prompts sees all tokens before it."""
        return split.length <= self.reach

    def read(
        self, input_ids: torch.Tensor | None = None, inputs_embeds: torch.Tensor | None = None
    ) -> Prefixes:
        """Run prefixes, padded on the right, through the model: [G, P] or, embedded, [G, P, H].

        No gradient leads back. The last block stops at its attention.
        """
        read = {"input_ids": input_ids}
        if inputs_embeds is not None:
            read = {"inputs_embeds": inputs_embeds}
        reading = _Reading(self._layers)
        with torch.no_grad(), doing(reading), suppress(EnoughError):
            self.model(**read, use_cache=False, logits_to_keep=1)
        return Prefixes(reading.kept)

    @contextmanager
    def joined(self, prefixes: Prefixes, split: SplitPrompts) -> Iterator[torch.Tensor]:
        """Let the suffixes of `split` see their prefixes, in this thread and within the block.

        Yields
        ------
        torch.Tensor
            [B, 1, S, P + S], the mask to give the model as its `attention_mask`, beside the
            `position_ids` of `split`.
        """
        kept = prefixes.kept
        if len(split.prefix_ids) > 1 and not torch.equal(
            split.rows, torch.arange(len(split.prefix_ids), device=split.rows.device)
        ):
            kept = [
                (key[split.rows.to(key.device)], value[split.rows.to(value.device)])
                for key, value in kept
            ]
        dtype = kept[0][0].dtype
        mask = torch.zeros(split.visible.shape, dtype=dtype, device=split.visible.device)
        mask = mask.masked_fill(~split.visible, torch.finfo(dtype).min).unsqueeze(1)
        with doing(_Joining(kept, split.rows, mask)):
            yield mask

    def _try(self) -> None:
        """Answer made-up prompts in both ways.

        Raises
        ------
        NotSharedError
            The answers differ, or there are none.
        """
        ids = made_up_prompts(self.model)
        ids[1, 2:7] = ids[0, 2:7]
        mask = torch.ones_like(ids)
        mask[:2, :2] = 0
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        split = split_prompts(ids, mask, torch.tensor([7, 7, 9], device=ids.device))
        assert split is not None
        if not self.holds(split):
            raise NotSharedError("its tokens do not see far enough back")
        with torch.no_grad(), uncompiled(), failing():
            whole = self._logits(ids, mask, positions)
            prefixes = self.read(split.prefix_ids)
            if not prefixes.kept:
                raise NotSharedError("its attention does not go through Transformers' registry")
            with self.joined(prefixes, split) as joined_mask:
                shared = self._logits(split.suffix_ids, joined_mask, split.position_ids)
        check_alike(self.model, whole, shared, TOLERANCES)
        self._layers = None if hasattr(self.model, "hf_device_map") else len(prefixes.kept)

    def _logits(
        self, input_ids: torch.Tensor, mask: torch.Tensor, position_ids: torch.Tensor
    ) -> torch.Tensor:
        output = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            use_cache=False,
        )
        return output.logits[:, -1].float()


def _reach(config: Any) -> float:
    """Return how many tokens a prompt may have so that each sees all before it, in all layers.

    Rotations that change with the length of what is read at once bound it, too.
    """
    config = config.get_text_config()
    bounds = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    rope = getattr(config, "rope_parameters", None) or {}
    bounds += [
        parameters.get("original_max_position_embeddings")
        or getattr(config, "original_max_position_embeddings", None)
        or config.max_position_embeddings
        for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict)))
        if parameters.get("rope_type") in ("dynamic", "longrope")
    ]
    return min((bound for bound in bounds if isinstance(bound, int) and bound > 0), default=1e9)
