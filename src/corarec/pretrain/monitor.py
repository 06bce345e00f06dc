"""What a pretraining run tells while it goes on: losses, held-out bits per byte, samples."""

import json
import time
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from corarec.pretrain.held_out import bits_per_byte
from corarec.records import append_record, keep_records

Record = dict[str, Any]

_TEXTS_PER_SOURCE = 40


class Monitor(TrainerCallback):
    """Write one record per interval to the console and to `metrics.jsonl`.

    Parameters
    ----------
    held_out
        Source -> held-out documents; the first 40 of each are measured at every checkpoint.
    prompts
        Beginnings to continue at every checkpoint.
    batch_tokens
        Tokens per step, for the speed.
    """

    def __init__(
        self,
        output: Path,
        tokenizer: PreTrainedTokenizerFast,
        held_out: dict[str, list[str]],
        prompts: tuple[str, ...],
        batch_tokens: int,
    ) -> None:
        self._path = output / "metrics.jsonl"
        self._tokenizer = tokenizer
        self._held_out = held_out
        self._prompts = prompts
        self._batch_tokens = batch_tokens
        self._since: tuple[int, float] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Drop what an interrupted run wrote after the checkpoint that this one goes on from."""
        keep_records(self._path, state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Record | None = None,
        **_: Any,
    ) -> None:
        """Write the loss, the learning rate and the speed."""
        if logs is None or "loss" not in logs:
            return
        now = time.perf_counter()
        record = {
            "step": state.global_step,
            "loss": round(float(logs["loss"]), 4),
            "learning_rate": float(logs["learning_rate"]),
            "gradient_norm": round(float(logs["grad_norm"]), 3),
        }
        if self._since is not None:
            steps, begun = state.global_step - self._since[0], self._since[1]
            record["tokens_per_second"] = round(steps * self._batch_tokens / (now - begun))
        self._since = (state.global_step, now)
        self._write(record)

    def measure(self, model: PreTrainedModel, step: int) -> None:
        """Write the held-out bits per byte of each source and the continued prompts.

        To be called before the checkpoint of that step appears: a run that is killed between the
        two goes on from the checkpoint before, and measures again.
        """
        model.eval()
        bits = {
            source: round(bits_per_byte(model, self._tokenizer, texts[:_TEXTS_PER_SOURCE]), 4)
            for source, texts in self._held_out.items()
        }
        samples = [continue_prompt(model, self._tokenizer, prompt) for prompt in self._prompts]
        model.train()
        self._write({"step": step, "bits_per_byte": bits, "samples": samples})
        self._since = None

    def _write(self, record: Record) -> None:
        print(json.dumps(record, ensure_ascii=False), flush=True)
        append_record(self._path, record)


def continue_prompt(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompt: str, tokens: int = 40
) -> str:
    """Return a prompt with the model's most probable continuation."""
    inputs = tokenizer(prompt, return_tensors="pt").to(model.device)
    output = model.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        max_new_tokens=tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    return str(tokenizer.decode(output[0], skip_special_tokens=True))
