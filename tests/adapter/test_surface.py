"""What others do with a model: copy it, compile it, share it among threads, change it in place."""

import copy
import pickle
import threading
from typing import Any

import pytest
import torch
from peft import PeftModel

from corarec.adapter.binding import Binding
from corarec.errors import ConfigError

Batch = dict[str, torch.Tensor]


@torch.no_grad()
def _logits(model: Any, batch: Batch) -> torch.Tensor:
    logits: torch.Tensor = model(**batch).logits
    return logits


def _text(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "cf_vectors"}


def test_pickled_model_scores_alike(model: PeftModel, batch: Batch) -> None:
    twin = pickle.loads(pickle.dumps(model))
    assert torch.equal(_logits(twin, batch), _logits(model, batch))


def test_copy_of_a_merged_model_is_a_model_of_its_own(model: PeftModel, batch: Batch) -> None:
    on = _logits(model, batch)
    model.merge_pair(batch["cf_vectors"][0])
    merged = _logits(model, _text(batch))
    twin = copy.deepcopy(model)
    assert torch.equal(_logits(twin, _text(batch)), merged)
    twin.unmerge_adapter()
    assert torch.equal(_logits(twin, batch), on)
    assert torch.equal(_logits(model, _text(batch)), merged)


def test_disabling_in_one_thread_leaves_a_merged_pair_to_the_others(
    model: PeftModel, batch: Batch
) -> None:
    text = _text(batch)
    with model.disable_adapter():
        off = _logits(model, text)
    model.merge_pair(batch["cf_vectors"][0])
    merged = _logits(model, text)
    frozen: list[torch.Tensor] = []

    def score() -> None:
        with model.disable_adapter():
            frozen.append(_logits(model, text))

    thread = threading.Thread(target=score)
    thread.start()
    thread.join()
    assert torch.equal(frozen[0], off)
    assert torch.equal(_logits(model, text), merged)


def test_input_that_a_layer_changes_in_place_is_read_anew(
    model: PeftModel, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = model.get_base_model().model.layers[0].self_attn

    def double(module: Any, inputs: Any, output: torch.Tensor) -> None:
        inputs[0].mul_(2.0)

    attention.q_proj.register_forward_hook(double)
    came = _logits(model, batch)
    own = Binding.reduce

    def without_sharing(self: Binding, *arguments: Any) -> torch.Tensor:
        self._last = None
        return own(self, *arguments)

    monkeypatch.setattr(Binding, "reduce", without_sharing)
    assert torch.equal(came, _logits(model, batch))


def test_data_parallel_is_refused_while_disabled(model: PeftModel) -> None:
    replica = model.base_model._replicate_for_data_parallel()
    assert replica.binding is model.base_model.binding
    with model.disable_adapter(), pytest.raises(ConfigError, match="DataParallel runs the model"):
        model.base_model._replicate_for_data_parallel()


@pytest.mark.slow
def test_compiled_model_scores_alike(model: PeftModel, batch: Batch) -> None:
    compiled = torch.compile(model, backend="eager")
    other = batch | {"cf_vectors": -batch["cf_vectors"]}
    for each in (batch, other, batch):
        torch.testing.assert_close(_logits(compiled, each), _logits(model, each))
    with model.disable_adapter():
        assert torch.equal(_logits(compiled, _text(batch)), _logits(model, _text(batch)))
    torch.testing.assert_close(_logits(compiled, batch), _logits(model, batch))


def test_trained_adapter_on_a_16_bit_model_keeps_its_order(model: PeftModel, batch: Batch) -> None:
    wanted = _logits(model, batch)[:, -1]
    halved = copy.deepcopy(model)
    halved.get_base_model().bfloat16()
    came = _logits(halved, batch)[:, -1].float()
    assert torch.corrcoef(torch.stack([came.flatten(), wanted.flatten()]))[0, 1] > 0.999
