from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from corarec.adapter import CoraConfig, GeneratorConfig

VECTOR_SIZE = 3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_llama() -> Callable[..., PreTrainedModel]:
    def make(**changes: Any) -> PreTrainedModel:
        sizes: dict[str, Any] = {
            "vocab_size": 40,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "pad_token_id": 0,
            "initializer_range": 0.3,
        }
        torch.manual_seed(1)
        model: PreTrainedModel = LlamaForCausalLM(LlamaConfig(**(sizes | changes)))
        return model.eval()

    return make


@pytest.fixture
def make_config() -> Callable[..., CoraConfig]:
    def make(**changes: Any) -> CoraConfig:
        generator = GeneratorConfig.preset("fit", VECTOR_SIZE, width=8, num_blocks=1)
        fields: dict[str, Any] = {"generator": generator, "r": 2, "alpha": 4.0}
        return CoraConfig(**(fields | changes))

    return make


@pytest.fixture
def randomize() -> Callable[..., None]:
    """Give every P of an adapter random values, so that its increment shows."""

    def fill(model: PeftModel, adapter_name: str = "default", seed: int = 2) -> None:
        rng = torch.Generator().manual_seed(seed)
        for name, parameter in model.named_parameters():
            if f"cora_projection.{adapter_name}." in name:
                parameter.data.normal_(generator=rng)

    return fill


@pytest.fixture
def model(
    make_llama: Callable[..., PreTrainedModel],
    make_config: Callable[..., CoraConfig],
    randomize: Callable[..., None],
) -> PeftModel:
    """A small Llama with a CoRA adapter that acts, in evaluation."""
    peft_model = get_peft_model(make_llama(), make_config())
    randomize(peft_model)
    return peft_model.eval()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Three rows of seven tokens; the first row has three pads on its left."""
    rng = torch.Generator().manual_seed(3)
    input_ids = torch.randint(1, 40, (3, 7), generator=rng)
    attention_mask = torch.ones_like(input_ids)
    input_ids[0, :3] = 0
    attention_mask[0, :3] = 0
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "cf_vectors": torch.randn(3, 2 * VECTOR_SIZE, generator=rng),
    }
