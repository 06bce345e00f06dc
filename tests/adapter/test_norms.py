"""The size of increments, against the products that are never formed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from corarec.adapter import CoraConfig, increment_norms
from corarec.errors import DataError

from .conftest import VECTOR_SIZE

GPT2 = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50}


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", **GPT2))
    return model


@pytest.mark.parametrize(
    ("fused", "changes"),
    [
        (False, {}),
        (False, {"target_modules": ["q", "o", "down"], "layers_to_transform": [1]}),
        (True, {}),
        (True, {"target_modules": ["q", "v"]}),
    ],
    ids=["llama", "some", "Conv1D", "rows of a Conv1D"],
)
def test_norms_are_those_of_the_full_products(
    make_llama: Callable[..., PreTrainedModel],
    make_config: Callable[..., CoraConfig],
    randomize: Callable[..., None],
    fused: bool,
    changes: dict[str, Any],
) -> None:
    model = get_peft_model(gpt2() if fused else make_llama(), make_config(**changes))
    randomize(model)
    model.train()
    tuner: Any = model.base_model
    pairs = torch.randn(70, 2 * VECTOR_SIZE, generator=torch.Generator().manual_seed(3))
    found = increment_norms(tuner, pairs)
    layers = tuner.adapted_layers()
    assert [one.layer for one in found] == [layer.name for layer in layers]
    tuner.eval()
    with torch.no_grad():
        matrices = tuner.matrices(pairs)
    for one, layer in zip(found, layers, strict=True):
        projection = layer.cora_projection["default"]
        p = projection.weight.detach()
        full = tuner.peft_config["default"].scale * p @ matrices[layer.in_features].mT
        expected = torch.linalg.matrix_norm(full.double()).mean()
        assert one.increment == pytest.approx(float(expected), rel=1e-5)
        weight = layer.weight.detach()
        weight = weight.T if fused else weight
        if projection.rows is not None:
            weight = weight[projection.rows]
        assert one.frozen == pytest.approx(float(weight.norm()), rel=1e-5)


def test_an_untrained_adapter_adds_nothing_and_the_mode_stays(
    make_llama: Callable[..., PreTrainedModel], make_config: Callable[..., CoraConfig]
) -> None:
    model = get_peft_model(make_llama(), make_config()).train()
    found = increment_norms(model.base_model, torch.ones(2, 2 * VECTOR_SIZE))
    assert [one.increment for one in found] == [0.0] * len(found)
    assert model.base_model.cora_generator["default"].training


def test_a_weight_that_is_not_in_memory_has_no_norm(
    make_llama: Callable[..., PreTrainedModel], make_config: Callable[..., CoraConfig]
) -> None:
    model = get_peft_model(make_llama(), make_config(target_modules=["q"]))
    tuner: Any = model.base_model
    base = tuner.adapted_layers()[0].get_base_layer()
    base.weight = torch.nn.Parameter(torch.zeros(16, 16, dtype=torch.uint8), requires_grad=False)
    first, second = increment_norms(tuner, torch.ones(1, 2 * VECTOR_SIZE))
    assert first.frozen is None
    assert second.frozen is not None


def test_vectors_of_another_size_are_an_error(
    make_llama: Callable[..., PreTrainedModel], make_config: Callable[..., CoraConfig]
) -> None:
    model = get_peft_model(make_llama(), make_config())
    with pytest.raises(DataError, match="but this adapter was made"):
        increment_norms(model.base_model, torch.ones(2, 3))
