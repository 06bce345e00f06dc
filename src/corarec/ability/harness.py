"""What lm-eval measures: accuracy, exact match, ROUGE-L, by its rules, on local files.

Each task is a definition of lm-eval over a local JSON file (`dataset_path: json`, `data_files`);
nothing is fetched. The files hold the examples as `corarec.ability.files` read and checked them,
and go with the temporary folder that they lie in.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corarec.ability.files import Task
from corarec.ability.measured import (
    ACCURACY,
    EXACT,
    OPTIONS,
    ROUGE,
    Advance,
    Measure,
    Parts,
    Values,
)
from corarec.ability.reading import GREEDY, Language, most_positions
from corarec.ability.wording import exact, first_choice, rouge_l
from corarec.backbone.chat import PromptFrame
from corarec.extras import needs

with needs("ability"):
    import datasets
    import lm_eval.api.task
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

ANSWER_TOKENS = 16
SUMMARY_TOKENS = 64
STOPS = {"choice": ["\n"], "exact": ["\n"], "rouge": ["\n\n", "###"]}


class ServedModel(HFLM):
    """A language model that is loaded, in batches of so many tokens.

    Parameters
    ----------
    batch_tokens
        Tokens of a batch, padding and those to be written included; a longer text has a batch of
        its own.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int, advance: Advance) -> None:
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            backend="causal",
            max_length=most_positions(model),
        )
        self._batch_tokens = batch_tokens
        self._advance = advance

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Return log-probability and whether it is the greedy answer, for each request."""
        self._fit(max(len(self.tok_encode("".join(request.args))) for request in requests))
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Return what the model writes, for each request."""
        lengths = (
            len(self.tok_encode(request.args[0])) + request.args[1]["max_gen_toks"]
            for request in requests
        )
        self._fit(max(lengths))
        found: list[str] = super().generate_until(requests, disable_tqdm=True)
        return found

    def _fit(self, longest: int) -> None:
        longest = min(longest, self.max_length)
        self.batch_size_per_gpu = max(1, self._batch_tokens // longest)

    def _model_call(self, inps: torch.Tensor, *rest: Any, **named: Any) -> Any:
        self._advance(len(inps))
        return super()._model_call(inps, *rest, **named)

    def _model_generate(self, context: torch.Tensor, *rest: Any, **named: Any) -> Any:
        self._advance(len(context))
        return super()._model_generate(context, *rest, **named)


def measure_with_lm_eval(
    model: Any,
    language: Language,
    tasks: Sequence[Task],
    *,
    batch_tokens: int,
    advance: Advance,
) -> Parts:
    """Yield task, measure and values for every task with answers."""
    with _quiet(), tempfile.TemporaryDirectory(prefix="corarec-") as place:
        served = ServedModel(model, language.tokenizer, batch_tokens, advance)
        for number, task in enumerate(tasks):
            for config, measure in definitions(
                task, language.frame, Path(place) / f"{number}.json"
            ):
                yield task.name, measure, _run(served, task, config, measure)


def definitions(
    task: Task, frame: PromptFrame, file: Path
) -> Iterator[tuple[dict[str, Any], Measure]]:
    """Write the examples of a task to `file`, and yield the definitions of lm-eval over it."""
    docs = [_doc(example, frame) for example in task.examples]
    file.write_text("".join(json.dumps(doc) + "\n" for doc in docs), "utf-8")
    source = {"data_files": {"test": str(file)}, "cache_dir": str(file.parent / "cache")}
    common = {
        "dataset_path": "json",
        "dataset_kwargs": source,
        "test_split": "test",
        "num_fewshot": 0,
    }
    if task.kind == "prompts":
        return
    if task.kind == "choice":
        choose = {"output_type": "multiple_choice", "doc_to_target": "gold"}
        label = {"doc_to_text": "led", "doc_to_choice": "choices"}
        accuracy = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]
        yield {**common, **choose, **label, "task": "label", "metric_list": accuracy}, ACCURACY
        if all(example.cloze for example in task.examples):
            options = {"doc_to_text": "asked", "doc_to_choice": "options"}
            by_length = [{"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}]
            yield (
                {**common, **choose, **options, "task": "option", "metric_list": by_length},
                OPTIONS,
            )
    tokens = SUMMARY_TOKENS if task.kind == "rouge" else ANSWER_TOKENS
    measure, judged = (ROUGE, _judge_rouge) if task.kind == "rouge" else (EXACT, _judge_exact)
    write = {
        "task": "written",
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "target",
        "generation_kwargs": {
            "until": STOPS[task.kind],
            "max_gen_toks": tokens,
            **GREEDY,
        },
        "process_results": judged,
        "metric_list": [{"metric": "value", "aggregation": "mean", "higher_is_better": True}],
    }
    yield {**common, **write}, measure


def _doc(example: Any, frame: PromptFrame) -> dict[str, Any]:
    """Return an example as lm-eval reads it; the same fields in every row."""
    prompt = frame.wrap(example.prompt)
    between = "" if frame.after else "\n"
    asked, options = example.cloze or ("", ())
    return {
        "prompt": prompt,
        "led": f"{prompt}{between}{example.lead}" if example.lead else prompt,
        "choices": list(example.choices),
        "gold": example.gold if example.choices else -1,
        "target": example.answers[0] if example.answers else "",
        "answers": list(example.answers),
        "asked": frame.wrap(asked) if asked else asked,
        "options": list(options),
    }


def _judge_exact(doc: dict[str, Any], written: list[str]) -> dict[str, float]:
    answer = first_choice(written[0], doc["choices"]) if doc["choices"] else written[0]
    return {"value": float(exact(answer, doc["answers"]))}


def _judge_rouge(doc: dict[str, Any], written: list[str]) -> dict[str, float]:
    return {"value": rouge_l(written[0], doc["answers"][0])}


def _run(served: ServedModel, task: Task, config: dict[str, Any], measure: Measure) -> Values:
    name = config["task"]
    found = evaluate(
        lm=served,
        task_dict={"tasks": {name: ConfigurableTask(config=config)}, "groups": {}, "group_map": {}},
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    key = "value" if "process_results" in config else config["metric_list"][0]["metric"]
    answers = None
    if "process_results" in config:
        answers = tuple(str(sample["filtered_resps"][0]) for sample in samples)
    return Values(
        np.array([float(sample[key]) for sample in samples]),
        tuple(example.row for example in task.examples),
        answers=answers,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep bars and notes of the libraries out of the way; errors come as such."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets", "transformers")]
    levels = [logger.level for logger in loggers]
    bar, had_bars = lm_eval.api.task.tqdm, datasets.utils.logging.is_progress_bar_enabled()
    # lm-eval shows a bar for each task, and has no switch for it.
    lm_eval.api.task.tqdm = lambda items, **_: items
    datasets.utils.logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        lm_eval.api.task.tqdm = bar
        if had_bars:
            datasets.utils.logging.enable_progress_bar()
