import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from corarec.adapter import CoraConfig, GeneratorConfig, LayerPattern
from corarec.adapter.inputs import as_mask
from corarec.errors import ArtifactError, ConfigError, DataError

Batch = dict[str, torch.Tensor]
MakeConfig = Callable[..., CoraConfig]
Randomize = Callable[..., None]


class _Toy(nn.Module):
    """Blocks of one linear layer, used in the way that `use` says."""

    def __init__(self, use: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = PretrainedConfig()
        self.use = use
        self.embedding = nn.Embedding(8, 4)
        blocks = [nn.ModuleDict({"w": nn.Linear(4, 4)}) for _ in range(3)]
        if use == "shared":
            blocks[2]["w"] = blocks[0]["w"]
        if use == "outside":
            self.head = blocks[0]["w"]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        x: torch.Tensor = self.embedding(input_ids)
        for number, block in enumerate(self.blocks):
            assert isinstance(block, nn.ModuleDict)
            if self.use == "past" and number == 1:
                weight: Any = block["w"].weight
                x = x + nn.functional.linear(x, weight)
            elif self.use == "flat" and number == 1:
                x = x + block["w"](x.flatten(0, 1)).view_as(x)
            elif self.use == "unused" and number == 1:
                continue
            elif self.use == "blind" and number == 0:
                with torch.no_grad():
                    x = x + block["w"](x)
            else:
                x = x + block["w"](x)
        return x

    def prepare_inputs_for_generation(self) -> None: ...


IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
VECTORS = torch.randn(2, 6, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def toy(make_config: MakeConfig, randomize: Randomize) -> Callable[[str], PeftModel]:
    def make(use: str) -> PeftModel:
        layers = [LayerPattern(path="blocks.*.w", roles=("q",))]
        model = get_peft_model(_Toy(use), make_config(layers=layers, target_modules=["q"]))
        randomize(model)
        return model.eval()

    return make


def _generator_gradient(model: PeftModel, loss: torch.Tensor) -> float:
    torch.autograd.backward(loss)
    generator = model.base_model.cora_generator["default"]
    return max(0.0 if p.grad is None else float(p.grad.abs().max()) for p in generator.parameters())


def test_generator_trains_where_the_first_layer_has_no_gradient(
    toy: Callable[[str], PeftModel],
) -> None:
    model = toy("blind")
    assert _generator_gradient(model, model(IDS, cf_vectors=VECTORS).square().sum()) > 1e-6


def test_generator_trains_in_a_model_that_runs_cycles_without_gradient(
    make_config: MakeConfig, randomize: Randomize
) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "hrm_text", vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_layers_per_stack=1, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    backbone = AutoModelForCausalLM.from_config(config)
    layers = [
        LayerPattern(path=f"model.{part}_module.layers.*.self_attn.{role}_proj", roles=(role,))
        for part in "LH"
        for role in "qkvo"
    ]
    with pytest.raises(ConfigError, match="several kinds of layers for 'q'"):
        get_peft_model(backbone, make_config())
    model = get_peft_model(backbone, make_config(layers=layers)).eval()
    randomize(model)
    logits = model(input_ids=IDS, cf_vectors=VECTORS, use_cache=False).logits
    assert _generator_gradient(model, logits.square().mean()) > 1e-6


def test_layer_that_is_read_past_is_refused_by_name(toy: Callable[[str], PeftModel]) -> None:
    with pytest.raises(ConfigError, match=r"reads the weight of blocks\.1\.w without calling"):
        toy("past")(IDS, cf_vectors=VECTORS)


def test_mamba_steps_are_refused_by_name(make_config: MakeConfig) -> None:
    config = AutoConfig.for_model(
        "mamba", vocab_size=50, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=0
    )
    backbone = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ConfigError, match=r"no attention.*backbone\.layers\.\*\.mixer\.in_proj"):
        get_peft_model(backbone, make_config())
    layers = [LayerPattern(path="backbone.layers.*.mixer.dt_proj", roles=("q",))]
    model = get_peft_model(backbone, make_config(layers=layers, target_modules=["q"])).eval()
    with pytest.raises(ConfigError, match=r"layers\.0\.mixer\.dt_proj"):
        model(input_ids=IDS, cf_vectors=VECTORS)


def test_other_dimensions_are_refused_by_name(toy: Callable[[str], PeftModel]) -> None:
    with pytest.raises(ConfigError, match=r"blocks\.1\.w gets an input of the shape \[6, 4\]"):
        toy("flat")(IDS, cf_vectors=VECTORS)


def test_layer_that_is_never_called_is_named(toy: Callable[[str], PeftModel]) -> None:
    model = toy("unused")
    with pytest.warns(UserWarning, match=r"did not call blocks\.1\.w .*1 of 3"):
        model(IDS, cf_vectors=VECTORS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(IDS, cf_vectors=VECTORS)  # said once
        toy("plain")(IDS, cf_vectors=VECTORS)


def test_shared_layer_is_adapted_at_all_its_places(toy: Callable[[str], PeftModel]) -> None:
    model = toy("shared")
    base = model.get_base_model()
    assert base.blocks[0]["w"] is base.blocks[2]["w"]
    frozen = {name: value.clone() for name, value in _Toy("shared").state_dict().items()}
    row = {"input_ids": IDS[:1]}
    expected = model(**row, cf_vectors=VECTORS[:1])
    model.merge_pair(VECTORS[0])
    torch.testing.assert_close(model(**row), expected, rtol=1e-4, atol=1e-5)
    model.unmerge_adapter()
    plain = model.unload()
    assert type(plain.blocks[2]["w"]) is nn.Linear
    assert plain.state_dict().keys() == frozen.keys()
    assert all(torch.equal(value, frozen[name]) for name, value in plain.state_dict().items())


def test_layer_shared_with_one_outside_is_refused(toy: Callable[[str], PeftModel]) -> None:
    with pytest.raises(ConfigError, match=r"blocks\.0\.w and head are one and the same layer"):
        toy("outside")


def test_tied_weights_come_back_bit_for_bit(
    make_llama: Callable[..., PreTrainedModel], make_config: MakeConfig, randomize: Randomize,
    batch: Batch,
) -> None:  # fmt: skip
    backbone = make_llama()
    first, second = (block.self_attn.q_proj for block in backbone.model.layers)
    second.weight = first.weight
    frozen = first.weight.detach().clone()
    model = get_peft_model(backbone, make_config()).eval()
    randomize(model)
    row = {name: value[1:2] for name, value in batch.items()}
    text = {name: value for name, value in row.items() if name != "cf_vectors"}
    expected = model(**row).logits
    model.merge_pair(row["cf_vectors"][0])
    torch.testing.assert_close(model(**text).logits, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match=r"q_proj is one with that of another layer"):
        model.unload()
    model.unmerge_adapter()
    assert first.weight is second.weight
    assert torch.equal(first.weight, frozen)
    model.unload()


def test_names_of_adapters_are_refused(model: PeftModel, batch: Batch) -> None:
    for call in (model, model.base_model, model.generate):
        with pytest.raises(ConfigError, match=r"`adapter_names` came.*set_adapter"):
            call(**batch, adapter_names=["default"] * 3)


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(2, 3),
        torch.full((2, 3), 2),
        torch.ones(3, dtype=torch.bool),
        [[True, False, True]] * 2,
    ],
)
def test_mask_must_be_a_mask(mask: Any) -> None:
    with pytest.raises(DataError, match=r"`cf_active` .*of bool \(or of 0 and 1\), \[B, T\]"):
        as_mask(mask)


def test_whole_numbers_are_a_mask(model: PeftModel, batch: Batch) -> None:
    mask = torch.zeros(3, 7, dtype=torch.bool)
    mask[:, 4:] = True
    expected = model(**batch, cf_active=mask).logits
    assert torch.equal(model(**batch, cf_active=mask.long()).logits, expected)
    with pytest.raises(DataError, match="cannot weigh"):
        model(**batch, cf_active=2 * mask.long())


def test_vectors_must_be_a_tensor(model: PeftModel, batch: Batch) -> None:
    with pytest.raises(DataError, match="`cf_vectors` is a list"):
        model(**(batch | {"cf_vectors": batch["cf_vectors"].tolist()}))


def test_disabling_in_one_thread_leaves_others_alone(model: PeftModel, batch: Batch) -> None:
    text = {name: value for name, value in batch.items() if name != "cf_vectors"}
    with torch.no_grad():
        on = model(**batch).logits
        with model.disable_adapter():
            off = model(**text).logits
    wrong: list[str] = []
    both = threading.Barrier(2)

    @torch.no_grad()
    def score(frozen: bool) -> None:
        both.wait()
        for _ in range(40):
            if frozen:
                with model.disable_adapter():
                    same = torch.equal(model(**text).logits, off)
            else:
                same = torch.equal(model(**batch).logits, on)
            if not same:
                wrong.append("frozen" if frozen else "adapted")

    threads = [threading.Thread(target=score, args=(frozen,)) for frozen in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert torch.equal(model(**batch).logits, on)


def test_second_wrapping_is_refused(model: PeftModel, make_config: MakeConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's own warning
        for again in (model, model.get_base_model()):
            with pytest.raises(ConfigError, match="carries a CoRA adapter already"):
                get_peft_model(again, make_config())


def test_whole_numbers_in_a_saved_adapter_are_refused(
    model: PeftModel, make_llama: Callable[..., PreTrainedModel], batch: Batch, tmp_path: Path
) -> None:
    model.save_pretrained(str(tmp_path))
    file = tmp_path / "adapter_model.safetensors"
    weights = load_file(file)
    save_file({name: value.to(torch.int32) for name, value in weights.items()}, file)
    with pytest.raises(ArtifactError, match=r"stored as torch\.int32"):
        model.load_adapter(str(tmp_path), "other")
    save_file({name: value.half() for name, value in weights.items()}, file)
    halved = PeftModel.from_pretrained(make_llama(), str(tmp_path))
    torch.testing.assert_close(halved(**batch).logits, model(**batch).logits, rtol=0.05, atol=0.05)


def test_general_merges_and_other_modules_are_refused(model: PeftModel) -> None:
    for merge in (model.merge_and_unload, lambda: model.merge_adapter(safe_merge=True)):
        with pytest.raises(ConfigError, match="merge_pair"):
            merge()
    with pytest.raises(TypeError, match="modules_to_save"):
        CoraConfig(generator=GeneratorConfig.preset("fit", 3), modules_to_save=["lm_head"])
