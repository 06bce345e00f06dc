"""The plain model inside what PEFT wraps, kept in evaluation mode for a while."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from corarec.backbone import BackboneConfig, load_backbone
from corarec.recommenders.general_text import evaluating, plain_model


def test_the_plain_model_keeps_what_peft_put_into_its_layers(tiny_backbone: Path) -> None:
    model = load_backbone(BackboneConfig(model=str(tiny_backbone))).model
    assert plain_model(model) is model
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"])).eval()
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
        after = plain_model(adapted)(input_ids=ids).logits
        assert plain_model(adapted) is model
        assert torch.equal(after, adapted(input_ids=ids).logits)
    assert not torch.equal(before, after)


def test_the_mode_comes_back_after_an_error_too() -> None:
    for training in (True, False):
        model = torch.nn.Sequential(torch.nn.Dropout()).train(training)
        with pytest.raises(KeyError), evaluating(model):
            assert not model[0].training
            raise KeyError
        assert model.training == model[0].training == training
