"""CoRA as its paper writes it, with none of our savings: an oracle and a yardstick."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from corarec.adapter.generator import Attention, Block, CollaborativeQueryGenerator
from corarec.adapter.layer import CoraLayer
from corarec.recommenders.cora import CoraRecommender
from corarec.types import FloatArray, Pairs

BATCH_PAIRS = 32


class LiteralCora:
    """Answers pairs in the order in which they come, each batch padded to its longest prompt.

    Every query goes through every layer of the generator, with a softmax over the one vector of
    the pair; every increment is a product and a sum of its own; and the language model gives all
    logits of all positions. For attention as the paper's code had it, the language model's must be
    `eager`.

    Parameters
    ----------
    system
        Whose weights are used.
    """

    def __init__(self, system: CoraRecommender) -> None:
        self.system = system
        self.tuner = system.model.base_model
        generator = self.tuner.cora_generator[self.tuner.active_adapters[0]]
        assert isinstance(generator, CollaborativeQueryGenerator)
        self.generator = generator

    @torch.no_grad()
    def score(self, pairs: Pairs) -> FloatArray:
        """Return the logits of pairs: [N]."""
        inputs = self.system.inputs(pairs)
        rows = torch.arange(len(pairs)).split(BATCH_PAIRS)
        parts = [self.logits(**inputs.batch(some.numpy())) for some in rows]
        return torch.cat(parts).double().cpu().numpy()

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch: [B]."""
        system = self.system
        read = system.adapter_input(**batch)
        with self._increments(self.matrices(read["cf_vectors"]), read.get("cf_active")):
            output = system.base_model(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                use_cache=False,
                **system.positions(batch["attention_mask"]),
            )
        logits = output.logits.float()[:, -1]
        answers = logits[:, system.answers.yes]
        if system.answer != "yes":
            answers = answers - logits[:, system.answers.no]
        return system.logits_of(answers, batch)

    def matrices(self, pairs: torch.Tensor) -> dict[int, torch.Tensor]:
        """Return `A: [B, width, r]` by input width, of `e: [B, 2d]` (paper, Eq. 6 and 7)."""
        generator = self.generator
        pair = pairs.to(generator.queries).unsqueeze(1)
        queries = generator.query_norm(generator.queries.expand(len(pair), -1, -1))
        for block in generator.blocks:
            assert isinstance(block, Block)
            queries = block.self_attention_norm(
                queries + _attended(block.self_attention, queries, queries)
            )
            queries = block.cross_attention_norm(
                queries + _attended(block.cross_attention, queries, pair)
            )
            queries = block.feed_forward_norm(queries + block.feed_forward(queries))
        matrices = {}
        for width, final in generator.final.items():
            flat = final(queries).mean(dim=1)
            if generator.config.normalize:
                flat = flat / flat.norm(dim=1, keepdim=True)
            matrices[int(width)] = flat.unflatten(1, (-1, generator.rank))
        return matrices

    @contextmanager
    def _increments(
        self, matrices: dict[int, torch.Tensor], active: torch.Tensor | None
    ) -> Iterator[None]:
        """Add `alpha / r * x A P^T` to the adapted layers of the frozen model (Eq. 4 and 5)."""
        adapter = self.tuner.active_adapters[0]
        scale = self.tuner.peft_config[adapter].scale

        def add(layer: CoraLayer, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            (x,) = inputs
            projection: Any = layer.cora_projection[adapter]
            reduced = x @ matrices[x.shape[-1]].to(x.dtype)
            increment = scale * functional.linear(reduced, projection.weight.to(x.dtype))
            if active is not None:
                increment = increment * active.unsqueeze(2)
            if projection.rows is not None:
                return output.index_add(-1, projection.rows, increment)
            return output + increment

        handles = [layer.register_forward_hook(add) for layer in self.tuner.adapted_layers()]
        try:
            with self.system.model.disable_adapter():
                yield
        finally:
            for handle in handles:
                handle.remove()


def _attended(attention: Attention, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """Attend from queries to a context, softmax and all: [B, k, W]."""
    size = attention.head_size

    def heads(states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (-1, size)).transpose(1, 2)

    scores = heads(attention.query(queries)) @ heads(attention.key(context)).transpose(2, 3)
    weights = (scores * size**-0.5).softmax(dim=-1)
    mixed = weights @ heads(attention.value(context))
    return attention.output(mixed.transpose(1, 2).flatten(2))
