"""The collaborative query generator: from a user's and an item's vector to the matrix `A`."""

import math
from collections.abc import Iterable
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from corarec.errors import ConfigError
from corarec.types import Config


class GeneratorConfig(Config):
    """Sizes of the generator; see `preset` for the two that are in use."""

    vector_size: int = Field(gt=0)
    """`d`, the size of a user's vector and of an item's vector."""
    width: int | None = Field(default=None, gt=0)
    """Width of queries and blocks; None means `2d`, the width of `e` itself."""
    num_queries: int = Field(default=4, gt=0)
    """`k`, the number of learned queries."""
    num_blocks: int = Field(default=8, gt=0)
    """`N`, the number of transformer blocks."""
    num_heads: int = Field(default=8, gt=0)
    """Attention heads. Where they do not divide the width, the head size is rounded up."""
    feed_forward_size: int | None = Field(default=None, gt=0)
    """Inner width of the feed-forward layers; None means six times the width."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """In training, on the queries, the attention and the output of every sublayer."""
    layer_norm_eps: float = Field(default=1e-12, gt=0.0)
    """Added to the variance in every layer norm."""
    init_std: float | None = Field(default=0.02, gt=0.0)
    """Standard deviation of the initial weights; None means one over the root of the fan-in."""
    normalize: bool = True
    """Divide every `A` by its Frobenius norm (as the authors' code does)."""

    @model_validator(mode="before")
    @classmethod
    def _without_old_fields(cls, fields: Any) -> Any:
        """Drop two fields of adapters saved by earlier versions, where they did nothing."""
        if not isinstance(fields, dict):
            return fields
        idle = {"input_scale": 1.0, "input_norm": "none"}
        return {key: fields[key] for key in fields if key not in idle or fields[key] != idle[key]}

    @classmethod
    def preset(cls, name: Literal["paper", "fit"], vector_size: int, **changes: Any) -> Self:
        """Return a named set of sizes, with `changes` on top.

        `paper` has the sizes of the authors' code. `fit` is made for a backbone of a few million
        parameters: two narrow blocks that cost less than one per cent of its forward pass.

        Raises
        ------
        ConfigError
            There is no preset of that name.
        """
        if name not in ("paper", "fit"):
            raise ConfigError(f"There is no generator preset {name!r}; choose 'paper' or 'fit'.")
        sizes: dict[str, Any] = {}
        if name == "fit":
            width = min(2 * vector_size, 128)
            sizes = {
                "width": width,
                "num_blocks": 2,
                "num_heads": 4,
                "feed_forward_size": 2 * width,
                "init_std": None,
            }
        return cls(vector_size=vector_size, **(sizes | changes))


class Attention(nn.Module):
    """Multi-head attention of the queries to themselves or to the vectors of the pair."""

    def __init__(self, width: int, context_width: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.head_size = math.ceil(width / num_heads)
        inner = num_heads * self.head_size
        self.query = _linear(width, inner)
        self.key = _linear(context_width, inner)
        self.value = _linear(context_width, inner)
        self.output = _linear(inner, width)
        self.dropout = dropout

    def forward(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Attend from `queries: [B, k, W]` to `context: [B, S, C]`; return `[B, k, W]`.

        With a single context vector every softmax is 1, so that in evaluation the result is the
        same for every query and comes back as `[B, 1, W]`. In training the dropout of the
        attention still tells the queries apart.
        """
        if context.shape[1] == 1 and not self.training:
            return self.output(self.value(context))
        attended = functional.scaled_dot_product_attention(
            self._heads(self.query(queries)),
            self._heads(self.key(context)),
            self._heads(self.value(context)),
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(attended.transpose(1, 2).flatten(2))

    def _heads(self, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(-1, (-1, self.head_size)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.input = _linear(width, inner)
        self.output = _linear(inner, width)

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        """Map `[B, k, W]` to `[B, k, W]`."""
        return self.output(functional.gelu(self.input(queries)))


class Block(nn.Module):
    """Self-attention, cross-attention and feed-forward, each followed by its norm (post-norm)."""

    def __init__(self, config: GeneratorConfig, width: int) -> None:
        super().__init__()
        heads, dropout, eps = config.num_heads, config.dropout, config.layer_norm_eps
        self.self_attention = Attention(width, width, heads, dropout)
        self.self_attention_norm = nn.LayerNorm(width, eps)
        self.cross_attention = Attention(width, 2 * config.vector_size, heads, dropout)
        self.cross_attention_norm = nn.LayerNorm(width, eps)
        self.feed_forward = FeedForward(width, config.feed_forward_size or 6 * width)
        self.feed_forward_norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
        """Map `queries: [B, k, W]` to `[B, k, W]`, reading `pair: [B, 1, 2d]`."""
        attended = self.dropout(self.self_attention(queries, queries))
        queries = self.self_attention_norm(queries + attended)
        attended = self.dropout(self.cross_attention(queries, pair))
        queries = self.cross_attention_norm(queries + attended)
        forwarded = self.dropout(self.feed_forward(queries))
        return self.feed_forward_norm(queries + forwarded)


class CollaborativeQueryGenerator(nn.Module):
    """CoRA's generator (arXiv 2408.10645): `e -> A`, one `A` per distinct input width.

    Parameters
    ----------
    config
        The sizes.
    rank
        `r`, the columns of `A`.
    input_widths
        The input widths of the adapted layers, such as `H` for q, k and v.
    rng
        Draws the initial weights.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        rank: int,
        input_widths: Iterable[int],
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        width = config.width or 2 * config.vector_size
        self.config = config
        self.rank = rank
        self.queries = nn.Parameter(torch.empty(1, config.num_queries, width))
        self.query_norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.blocks = nn.ModuleList(Block(config, width) for _ in range(config.num_blocks))
        self.final = nn.ModuleDict(
            {str(size): _linear(width, size * rank) for size in sorted(set(input_widths))}
        )
        self.dropout = nn.Dropout(config.dropout)
        self._initialize(rng)

    @torch.no_grad()
    def _initialize(self, rng: torch.Generator) -> None:
        nn.init.normal_(self.queries, std=0.02, generator=rng)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                std = self.config.init_std or module.in_features**-0.5
                nn.init.normal_(module.weight, std=std, generator=rng)
                nn.init.zeros_(module.bias)
        for final in self.final.children():
            assert isinstance(final, nn.Linear)
            nn.init.kaiming_uniform_(final.weight, a=math.sqrt(5), generator=rng)
            bound = final.in_features**-0.5
            nn.init.uniform_(final.bias, -bound, bound, generator=rng)

    def forward(self, pair: torch.Tensor) -> dict[int, torch.Tensor]:
        """Generate the matrices of `B` pairs.

        Parameters
        ----------
        pair
            `e: [B, 2d]`, the user's vector followed by the item's.

        Returns
        -------
        dict
            Input width of a layer -> `A: [B, width, r]`.
        """
        pair = pair.to(self.queries).unsqueeze(1)
        queries = self.query_norm(self.queries)
        if self.training:
            # Dropout acts on each pair by itself. Without it the queries stay common to all pairs
            # up to the first cross-attention, which broadcasts.
            queries = self.dropout(queries.expand(len(pair), -1, -1))
        for block in self.blocks:
            queries = block(queries, pair)
        # The mean commutes with the final Linear: pooled first, that runs once and not k times.
        pooled = queries.mean(dim=1)
        return {int(width): self._matrix(final(pooled)) for width, final in self.final.items()}

    def _matrix(self, flat: torch.Tensor) -> torch.Tensor:
        if self.config.normalize:
            flat = functional.normalize(flat, dim=-1)
        return flat.unflatten(-1, (-1, self.rank))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    # The weights come from the generator's own seed, so the default draw is skipped: it would
    # disturb the global random state.
    return nn.utils.skip_init(nn.Linear, inputs, outputs)
