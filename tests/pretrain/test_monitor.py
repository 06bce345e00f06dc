import json
from pathlib import Path

import pytest
from transformers import (
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from corarec.pretrain.monitor import Monitor, continue_prompt


def test_records(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    monitor = Monitor(tmp_path, tiny_tokenizer, {"notes": ["A user has given"]}, ("Yes",), 64)
    state, control = TrainerState(global_step=5), TrainerControl()
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    logs = {"loss": "2.5", "learning_rate": "1e-3", "grad_norm": "0.5"}
    monitor.on_log(arguments, state, control, logs=logs)
    state.global_step = 10
    monitor.on_log(arguments, state, control, logs=logs)
    monitor.on_log(arguments, state, control, logs={"train_runtime": 3})
    tiny_model.train()
    monitor.measure(tiny_model, 10)
    assert tiny_model.training

    first, second, held_out = (
        json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    )
    assert first == {"step": 5, "loss": 2.5, "learning_rate": 0.001, "gradient_norm": 0.5}
    assert second["tokens_per_second"] > 0
    assert held_out["step"] == 10
    assert held_out["bits_per_byte"]["notes"] == pytest.approx(5, abs=3)
    assert held_out["samples"][0].startswith("Yes")


def test_records_after_the_checkpoint_are_dropped(
    tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 5, "loss": 1.0}\n{"step": 10, "loss": 0.5}\n{"step": 10, "samp')
    monitor = Monitor(tmp_path, tiny_tokenizer, {}, (), 64)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    monitor.on_train_begin(arguments, TrainerState(global_step=5), TrainerControl())
    assert path.read_text() == '{"step": 5, "loss": 1.0}\n'


def test_continuing_is_repeatable(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    tiny_model.eval()
    texts = {continue_prompt(tiny_model, tiny_tokenizer, "A user", 5) for _ in range(2)}
    assert len(texts) == 1
