"""What a recipe will do, said before any hour is spent on it."""

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from corarec.cf import CF_MODELS, VectorSource, fit_cf, load_cf
from corarec.data import Dataset
from corarec.recipe import FittedCF, RunConfig, TrainConfig
from corarec.recipe.phases import PlannedPhase
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.language import LanguageRecommender
from corarec.runs.layout import BEST
from corarec.train.plan import plan_of
from corarec.train.preflight import preflight
from corarec.train.run import training_rows
from corarec.train.start import check_sources, other_runs

TIMED_STEPS = 3
SAMPLED_PROMPTS = 2_000


@dataclass(frozen=True)
class Diagnosis:
    """Facts about a run that has not been made, or about one phase of it."""

    phase: str
    """its name; empty where the recipe lists none"""
    parameters: tuple[str, ...]
    """the parameter groups that are trained"""
    answers: str
    prompt_tokens: tuple[float, int, int]
    """mean, 95th percentile and longest, over a sample of the training prompts"""
    max_length: int | None
    shortened: float
    """share of the prompts that lose history titles"""
    example: str
    trainable: int
    frozen: int
    cf: str
    step_seconds: float
    steps: int
    memory_gb: float
    """peak of the GPU, or of this whole process, data included"""

    def lines(self) -> list[str]:
        """Return the facts, a line each."""
        mean, p95, longest = self.prompt_tokens
        limit = "none" if self.max_length is None else f"{self.max_length:,} tokens"
        groups = f" ({', '.join(self.parameters)})" if self.phase else ""
        return [
            *([f"phase              {self.phase}"] if self.phase else []),
            f"answer tokens      {self.answers}",
            f"prompt             mean {mean:.0f}, 95 % {p95}, longest {longest} tokens; limit "
            f"{limit}; {self.shortened:.1%} lose history titles",
            f"CF vectors         {self.cf}",
            f"parameters         {self.trainable:,} trained{groups}, {self.frozen:,} frozen",
            f"time               {self.step_seconds:.2f} s per step, at most "
            f"{self.step_seconds * self.steps / 3600:.1f} h for {self.steps:,} steps, "
            "validations aside",
            f"memory             {self.memory_gb:.1f} GB at peak in training",
            f"first prompt       {self.example!r}",
        ]


def diagnose(config: RunConfig) -> list[Diagnosis]:
    """Build the system of a recipe, run a few training steps of every phase; nothing is written.

    Raises
    ------
    ConfigError, DataError, ArtifactError
        Whatever would stop the run itself.
    """
    check_sources(config.phases, None)
    preflight(config.train)
    dataset = Dataset.load(config.data).under(config.knowledge)
    cf = quick_cf(config, dataset)
    recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
    for source in other_runs(config.phases).values():
        recommender.weights_of(source / BEST)
    return [_diagnose_phase(config, phase, dataset, cf, recommender) for phase in config.phases]


def _diagnose_phase(
    config: RunConfig,
    phase: PlannedPhase,
    dataset: Dataset,
    cf: VectorSource | None,
    recommender: LanguageRecommender,
) -> Diagnosis:
    recommender.begin(phase.system)
    rows = training_rows(dataset, phase.train.train_from)
    random = np.random.default_rng(config.seed)
    sample = dataset.pairs(random.choice(rows, min(SAMPLED_PROMPTS, len(rows)), replace=False))
    reading = recommender.reading(sample)
    counts, limit = reading.tokens, reading.max_length
    trained = recommender.trainable_parameters()
    return Diagnosis(
        phase=phase.name,
        parameters=phase.system.parameters or tuple(recommender.parameter_groups()),
        answers=reading.answers,
        prompt_tokens=(
            float(counts.mean()),
            int(np.percentile(counts, 95)),
            int(counts.max()),
        ),
        max_length=limit,
        shortened=float((counts > limit).mean()) if limit else 0.0,
        example=reading.example,
        trainable=trained,
        frozen=sum(p.numel() for p in recommender.parameters()) - trained,
        cf=f"{cf.name}, {cf.vector_size} numbers each" if cf else "none",
        step_seconds=_time_step(phase.train, dataset, recommender, config.seed),
        steps=phase.train.steps,
        memory_gb=peak_memory(recommender.device),
    )


def quick_cf(config: RunConfig, dataset: Dataset) -> VectorSource | None:
    """Return a CF model of the right kind and size; one that is yet to be fitted gets one epoch."""
    if config.cf is None:
        return None
    if isinstance(config.cf, FittedCF):
        return VectorSource(load_cf(config.cf.path, dataset.fingerprint), dataset)
    options = dict(config.cf.options)
    if "max_epochs" in CF_MODELS[config.cf.model].config_class.model_fields:
        options["max_epochs"] = 1
    model, _ = fit_cf(dataset, config.cf.model_copy(update={"options": options}))
    return VectorSource(model, dataset)


def _time_step(
    config: TrainConfig, dataset: Dataset, recommender: LanguageRecommender, seed: int
) -> float:
    rows = training_rows(dataset, config.train_from)
    examples = recommender.examples(TrainingData(dataset, rows, rows))
    plan = plan_of(examples, config.batch_size, seed)
    trained = [p for p in recommender.parameters() if p.requires_grad]
    recommender.enable_gradient_checkpointing(config.gradient_checkpointing)
    optimizer = torch.optim.AdamW(trained, lr=0.0) if trained else None
    recommender.train(bool(trained))
    seconds = []
    for number in range(TIMED_STEPS):
        started = time.perf_counter()
        for part in range(config.accumulate):
            chosen = plan[number * config.accumulate + part]
            batch = {k: v.to(recommender.device) for k, v in examples.batch(chosen).items()}
            loss = recommender(**batch)
            if trained:
                loss.backward()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def peak_memory(device: torch.device) -> float:
    """Return the most gigabytes that were taken, of the GPU or of this whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
