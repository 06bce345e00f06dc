"""The recipe of a pretraining run: which texts, in which words, in which order, and which model.

Everything that shapes the corpus is data in a YAML file: a source names a table or a text file,
its templates turn a row into a document, a phase says how many tokens to draw from which source.
"""

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from corarec.errors import ConfigError
from corarec.recipe_files import read_recipe
from corarec.types import Config


class JoinConfig(Config):
    """Columns taken over from the row of another source that agrees in some columns."""

    source: str
    """Name of the other source."""
    by: list[str] = Field(min_length=1)
    """Columns in which both rows agree. Of several matching rows the first one counts."""
    columns: list[str] = Field(min_length=1)
    """Columns to take over; null where no row matches."""


class TemplateConfig(Config):
    """One way to turn a row into a document."""

    text: str
    """Jinja template over the row's columns. An empty result skips the row."""
    weight: PositiveFloat = 1.0
    """How often this template is drawn, relative to the others of its source."""


class SourceConfig(Config):
    """A Parquet file (one row per document) or a text file (documents between blank lines)."""

    path: Path
    """Relative to the recipe's `data_directory`. A text file has the single column `text`."""
    templates: tuple[TemplateConfig, ...] = ()
    """Empty for a source that only serves joins."""
    null_values: tuple[str, ...] = ()
    """Texts that stand for a missing value."""
    lists: dict[str, str] = Field(default_factory=dict)
    """Columns that hold several values, each with the separator to split them at."""
    columns: dict[str, str] = Field(default_factory=dict)
    """New columns, each a Jinja template over the columns before it."""
    join: tuple[JoinConfig, ...] = ()
    """Applied in order, after `columns`."""
    hold_out: Literal["rows", "documents"] = "rows"
    """`rows`: a held-out row is never trained on. `documents`: every row is trained on, and only
    some of its renderings are held out: for facts that the model shall know."""
    hold_out_share: float = Field(0.01, gt=0, lt=1)
    """Share of rows or documents set aside, chosen by a hash."""


class PhaseConfig(Config):
    """A stretch of training with one mix of sources."""

    name: str
    tokens: PositiveInt
    """Tokens to train on in this phase."""
    mix: dict[str, PositiveFloat] = Field(min_length=1)
    """Source -> share of the tokens (relative weights)."""
    block: PositiveInt = 256
    """Tokens per sequence. Documents are packed one after the other and cut at block borders."""


class TokenizerConfig(Config):
    """A byte-level BPE tokenizer, trained on documents drawn from the sources."""

    pieces: PositiveInt = 8192
    """Size of the vocabulary, special tokens included."""
    mix: dict[str, PositiveFloat] = Field(min_length=1)
    """Source -> share of the training text (relative weights)."""
    characters: PositiveInt = 20_000_000
    """Amount of text to train on."""
    single: tuple[str, ...] = (" Yes", " No")
    """Pieces that must come out as one token (years 1900 to 2029 always do)."""


class ModelConfig(Config):
    """Sizes of the Llama model. Input and output embeddings are tied."""

    hidden: PositiveInt = 256
    layers: PositiveInt = 8
    heads: PositiveInt = 4
    key_value_heads: PositiveInt = 4
    feed_forward: PositiveInt = 768
    positions: PositiveInt = 1024

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelConfig":
        if self.hidden % (2 * self.heads):
            raise ValueError(
                f"hidden {self.hidden} is not an even multiple of heads {self.heads}, so the heads "
                "have no (even) size"
            )
        if self.heads % self.key_value_heads:
            raise ValueError(
                f"heads {self.heads} is not a multiple of key_value_heads {self.key_value_heads}"
            )
        return self


class OptimizerConfig(Config):
    """AdamW with warm-up, a plateau and a decay (or a cosine from the warm-up on)."""

    learning_rate: PositiveFloat = 2e-3
    schedule: Literal["cosine", "warmup-stable-decay"] = "warmup-stable-decay"
    warmup_share: float = Field(0.02, ge=0, lt=1)
    """Share of all steps in which the rate rises from 0."""
    decay_share: float = Field(0.3, gt=0, le=1)
    """Share of all steps, at the end, in which the rate falls to 2 % (plateau schedule only)."""
    weight_decay: float = Field(0.05, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.98, ge=0, lt=1)
    clip: PositiveFloat = 1.0
    """Largest norm of the gradient."""
    batch_tokens: PositiveInt = 2048
    """Tokens per step."""


class PretrainingRecipe(Config):
    """A whole pretraining run."""

    data_directory: str = "."
    """Folder of the sources, relative to the file that names it; environment variables are
    expanded."""
    sources: dict[str, SourceConfig] = Field(min_length=1)
    phases: list[PhaseConfig] = Field(min_length=1)
    tokenizer: TokenizerConfig
    model: ModelConfig = ModelConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    without_columns: tuple[str, ...] = ()
    """Columns to leave out of every source, together with each template that reads one."""
    seed: int = 0
    bf16: bool = True
    """Matrix products in bf16 (autocast); weights and optimizer stay in float32."""
    compile: bool = False
    """Fuse the model with torch.compile (needs a C++ compiler; about 1.6 x as fast on a CPU)."""
    log_steps: PositiveInt = 50
    save_steps: PositiveInt = 500
    """Steps between two checkpoints; each is also measured on the held-out text and sampled."""
    prompts: tuple[str, ...] = ()
    """Beginnings that are continued at each checkpoint, to see what the model has learned."""

    @model_validator(mode="after")
    def _sources_exist(self) -> "PretrainingRecipe":
        used = {name for phase in self.phases for name in phase.mix} | set(self.tokenizer.mix)
        joined = {join.source for source in self.sources.values() for join in source.join}
        if unknown := sorted((used | joined) - self.sources.keys()):
            raise ValueError(
                f"unknown source {', '.join(unknown)}; the sources are {', '.join(self.sources)}"
            )
        if silent := sorted(name for name in used if not self.templates(name)):
            raise ValueError(f"source {', '.join(silent)} is drawn from but has no template left")
        if self.steps == 0:
            raise ValueError(
                f"no phase has the {self.optimizer.batch_tokens} tokens of one step "
                "(optimizer.batch_tokens), so there is nothing to train on"
            )
        for phase in self.phases:
            if phase.block > self.model.positions:
                raise ValueError(
                    f"phase {phase.name} has blocks of {phase.block} tokens, "
                    f"the model has {self.model.positions} positions"
                )
            if self.optimizer.batch_tokens % phase.block:
                raise ValueError(
                    f"batch_tokens {self.optimizer.batch_tokens} is not a multiple of "
                    f"block {phase.block} of phase {phase.name}"
                )
        return self

    def templates(self, source: str) -> list[TemplateConfig]:
        """Return the templates of a source that read no left-out column."""
        gone = re.compile(r"\b(" + "|".join(map(re.escape, self.without_columns)) + r")\b")
        return [
            template
            for template in self.sources[source].templates
            if not (self.without_columns and gone.search(template.text))
        ]

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return sum(phase.tokens // self.optimizer.batch_tokens for phase in self.phases)


def load_recipe(path: Path) -> PretrainingRecipe:
    """Read a recipe with those it extends.

    Raises
    ------
    ConfigError
        The file is missing, is not YAML, or breaks the schema (the message lists every place), or
        an environment variable in `data_directory` is not set.
    """
    keys = read_recipe(path, "pretraining recipe")
    recipe = PretrainingRecipe.parse(keys.values, str(path), keys.place)
    directory = os.path.expandvars(recipe.data_directory)
    if unset := re.search(r"\$\{?(\w+)", directory):
        raise ConfigError(
            f"{path}: data_directory is {recipe.data_directory}, but {unset[1]} is not set; "
            f"type: export {unset[1]}=FOLDER_OF_THE_TEXTS"
        )
    return recipe.model_copy(
        update={"data_directory": str(keys.folder_of("data_directory") / directory)}
    )
