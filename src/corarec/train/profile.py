"""Where the time and memory of scoring go, part by part, on any language model."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from corarec.adapter.generator import CollaborativeQueryGenerator
from corarec.backbone.last_position import LastPosition
from corarec.backbone.sharing import PrefixSharing
from corarec.data import Dataset, Split
from corarec.errors import ConfigError, DataError
from corarec.recipe import load_recipe
from corarec.recommenders import build_recommender
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.llm import PromptRecommender
from corarec.runs import load_run
from corarec.score.batches import Batches, score_passes
from corarec.train.doctor import peak_memory, quick_cf
from corarec.types import Pairs

Part = Literal["tokens", "generator", "linear", "attention", "increment", "head", "other"]
PARTS: dict[Part, str] = {
    "tokens": "prompts to tokens, CF vectors",
    "generator": "generator of the increment",
    "linear": "linear layers of the language model",
    "attention": "attention, without its linear layers",
    "increment": "the increment on the adapted layers",
    "head": "projection onto the vocabulary",
    "other": "norms, activations, embeddings, the rest",
}
_MIXERS = re.compile("attention|attn|mixer|mamba|ssm|rwkv|deltanet|conv", re.IGNORECASE)
"""Class names of what lets tokens see each other."""
_SQUARE = 1536
_TRIES = 3


@dataclass(frozen=True)
class Profile:
    """Where the time of scoring some pairs went."""

    system: str
    device: str
    dtype: str
    threads: int
    pairs: int
    tokens: int
    """that stand in the prompts"""
    seconds: float
    """of the clock, all parts together"""
    seconds_by_part: dict[str, float]
    tokens_per_second: float
    matmul_peak: float
    """measured: 10^9 operations a second of a large product in the model's type"""
    share_of_peak: float
    """of all linear layers' operations, over the whole time"""
    linear_share_of_peak: float
    """of the same, over the time of the language model's linear layers"""
    backbone_mb: float
    own_mb: float
    """what the system adds to it"""
    peak_gb: float
    """of the GPU, or of this whole process, data included"""
    ways: dict[str, str]
    """what scoring saves, and why not where it does not"""

    @property
    def pairs_per_second(self) -> float:
        """Pairs that were scored in a second."""
        return self.pairs / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        return asdict(self) | {"pairs_per_second": self.pairs_per_second}

    def rows(self) -> list[tuple[str, str, str]]:
        """Return the parts with their time and share, the longest first."""
        parts = sorted(self.seconds_by_part.items(), key=lambda part: -part[1])
        names: dict[str, str] = {str(name): text for name, text in PARTS.items()}
        return [
            (names[part], f"{seconds:.3f} s", f"{seconds / self.seconds:.1%}")
            for part, seconds in parts
        ]

    def lines(self) -> list[str]:
        """Return all but the parts, a line each."""
        return [
            f"scored             {self.pairs:,} pairs, {self.tokens:,} tokens, "
            f"{self.tokens / self.pairs:.0f} each, by {self.system}",
            f"on                 {self.device}, {self.dtype}, {self.threads} threads",
            f"speed              {self.pairs_per_second:.1f} pairs/s, "
            f"{self.tokens_per_second:,.0f} tokens/s",
            f"matmul peak        {self.matmul_peak:,.0f} billion operations a second, measured; "
            f"the linear layers reach {self.linear_share_of_peak:.0%} of it, all in all "
            f"{self.share_of_peak:.0%} are reached",
            f"weights            {self.backbone_mb:,.0f} MB language model, "
            f"{self.own_mb:,.1f} MB of the system's own",
            f"memory             {self.peak_gb:.2f} GB at peak",
            *(f"{name:<18} {state}" for name, state in self.ways.items()),
        ]


class Stopwatch:
    """Charges time to parts: what runs within another is charged to itself alone."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
        self.operations = 0.0
        self._device = device
        self._stack: list[Part] = ["other"]
        self._since = 0.0

    @contextmanager
    def running(self, part: Part) -> Iterator[None]:
        """Charge the block to a part, what is charged within it aside."""
        depth = len(self._stack)
        self.enter(part)
        try:
            yield
        finally:
            while len(self._stack) > depth:
                self.leave()

    def enter(self, part: Part) -> None:
        """Begin with a part."""
        self._charge()
        self._stack.append(part)

    def leave(self) -> None:
        """Go back to what was before."""
        self._charge()
        if len(self._stack) > 1:
            self._stack.pop()

    def _charge(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if len(self._stack) > 1:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now


def profile_of(
    what: Path,
    split: Split = "valid",
    count: int = 200,
    *,
    overrides: Sequence[str] = (),
    data: Path | None = None,
) -> Profile:
    """Profile a trained run, or the untrained system of a recipe, on rows spread over a split.

    A CF model that a recipe has yet to fit is fitted for one epoch.

    Raises
    ------
    ConfigError
        `overrides` came with a run.
    DataError, ArtifactError
        Whatever would stop a recipe or a run; or the split has no rows.
    """
    if what.suffix.lower() in (".yaml", ".yml"):
        config = load_recipe(what, overrides)
        dataset = Dataset.load(data or config.data).under(config.knowledge)
        cf = quick_cf(config, dataset)
        recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
    else:
        if overrides:
            raise ConfigError(f"{what} is a run, whose values are set. Leave out --set.")
        run = load_run(what, data)
        dataset, recommender = run.dataset, run.recommender
    rows = dataset.rows(split)
    chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]
    return profile(recommender, dataset.pairs(chosen))


def profile(recommender: LanguageRecommender, pairs: Pairs) -> Profile:
    """Score pairs, as `corarec score` does, and say where the time went.

    Blocks that a recipe compiles run uncompiled: what is fused has no parts.

    Raises
    ------
    DataError
        There are no pairs.
    """
    if not len(pairs):
        raise DataError("There are no pairs to score. Choose a split that has some.")
    recommender.eval()
    few = Batches(recommender, pairs.take(slice(0, 4)))
    few.score(slice(0, len(few)))  # trials, first calls
    watch = Stopwatch(recommender.device)
    with _watched(recommender, watch):
        with watch.running("tokens"):
            batches = Batches(recommender, pairs)
            passes = list(batches.passes(slice(0, len(batches))))
        order = [place for places, _ in passes for place in places]
        with watch.running("other"):
            score_passes(recommender, passes, pairs.take(slice(0, len(order))))
    tokens = sum(
        int(batch["attention_mask"].sum()) for _, batch in passes if "attention_mask" in batch
    )
    seconds = sum(watch.seconds.values())
    weight = _weight(recommender)
    peak = matmul_peak(weight.dtype, recommender.device)
    linear = max(watch.seconds["linear"], 1e-9)
    backbone, own = _megabytes(recommender)
    return Profile(
        system=type(recommender).__name__,
        device=str(recommender.device),
        dtype=str(weight.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        pairs=len(pairs),
        tokens=tokens,
        seconds=seconds,
        seconds_by_part={str(part): value for part, value in watch.seconds.items()},
        tokens_per_second=tokens / seconds,
        matmul_peak=peak / 1e9,
        share_of_peak=watch.operations / seconds / peak,
        linear_share_of_peak=watch.operations / linear / peak,
        backbone_mb=backbone,
        own_mb=own,
        peak_gb=peak_memory(recommender.device),
        ways=_ways(recommender),
    )


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """Return operations a second of a large product, the best of a few."""
    left, right = (torch.ones(_SQUARE, _SQUARE, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(_TRIES + 1):
        begun = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begun)
    return 2.0 * _SQUARE**3 / best


@contextmanager
def _watched(recommender: LanguageRecommender, watch: Stopwatch) -> Iterator[None]:
    """Let the modules of a system charge their time within the block."""
    head = recommender.base_model.get_output_embeddings()
    inside = set(recommender.base_model.modules())
    handles = []

    def begin(part: Part) -> Callable[..., None]:
        return lambda *_: watch.enter(part)

    def end(module: nn.Module, inputs: Any, output: Any) -> None:
        watch.leave()

    def count(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and inputs and isinstance(inputs[0], torch.Tensor):
            watch.operations += 2.0 * output.numel() * inputs[0].shape[-1]

    for module in recommender.modules():
        part = _part(module, head) if module in inside else None
        if isinstance(module, CollaborativeQueryGenerator):
            part = "generator"
        if part is None:
            continue
        handles += [
            module.register_forward_pre_hook(begin(part)),
            # A pass that is cut short leaves its modules by an exception.
            module.register_forward_hook(end, always_call=True),
        ]
        if part == "linear":
            handles.append(module.register_forward_hook(count))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _part(module: nn.Module, head: nn.Module | None) -> Part | None:
    """Return what a module's time is charged to; None: to what it stands in."""
    if module is head:
        return "head"
    if isinstance(module, BaseTunerLayer):
        return "increment"
    if isinstance(module, nn.Linear | Conv1D) or (
        hasattr(module, "in_features") and hasattr(module, "out_features")
    ):
        return "linear"
    return "attention" if _MIXERS.search(type(module).__name__) else None


def _weight(recommender: LanguageRecommender) -> torch.Tensor:
    found = (p for p in recommender.base_model.parameters() if p.is_floating_point())
    weight: torch.Tensor = next(found)
    return weight


def _megabytes(recommender: LanguageRecommender) -> tuple[float, float]:
    """Return the size of the frozen weights and of the others."""
    frozen, own = 0, 0
    trained = {id(p) for group in recommender.parameter_groups().values() for p in group}
    for parameter in recommender.parameters():
        size = parameter.numel() * parameter.element_size()
        if id(parameter) in trained:
            own += size
        else:
            frozen += size
    return frozen / 1e6, own / 1e6


def _ways(recommender: LanguageRecommender) -> dict[str, str]:
    if not isinstance(recommender, PromptRecommender):
        return {}
    last = recommender.last_position
    ways = {
        "last block": "for the last position alone"
        if isinstance(last, LastPosition)
        else f"for all positions: {last}"
    }
    if not recommender.begins_without_pairs:
        return ways | {"beginnings": "read for every pair: the increment acts on them"}
    sharing = recommender.prefix_sharing
    shared = isinstance(sharing, PrefixSharing)
    return ways | {"beginnings": "read once" if shared else f"read for every pair: {sharing}"}
