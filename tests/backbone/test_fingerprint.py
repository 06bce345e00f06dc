from copy import deepcopy

import torch
from transformers import LlamaForCausalLM

from corarec.backbone.fingerprint import fingerprint


def test_a_model_has_one_name_in_any_precision(tiny_model: LlamaForCausalLM) -> None:
    name = fingerprint(tiny_model)
    assert name.startswith("LlamaForCausalLM-")
    assert fingerprint(deepcopy(tiny_model)) == name
    assert fingerprint(deepcopy(tiny_model).to(torch.bfloat16)) == name


def test_other_weights_have_another_name(tiny_model: LlamaForCausalLM) -> None:
    other = deepcopy(tiny_model)
    with torch.no_grad():
        other.model.norm.weight[0] += 1
    assert fingerprint(other) != fingerprint(tiny_model)
