"""The contract: what holds for CoRA on every architecture of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from corarec.adapter import CoraConfig, GeneratorConfig, held_pair
from corarec.backbone.sharing import NotSharedError, PrefixSharing
from corarec.backbone.splitting import split_prompts
from corarec.errors import ConfigError

MERGE_TOLERANCE = 1e-4
"""Merged scores against the adapter's, in float32, relative to the largest logit."""

ATTENTION = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
GATED = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


@dataclass(frozen=True)
class Case:
    """One architecture, small: two blocks, four heads of 8, two of them for keys and values."""

    sizes: dict[str, Any]
    """Changes to the common sizes."""
    attention: list[str]
    """Modules of a block that hold q, k, v, o."""
    feed_forward: list[str]
    """Modules of a block that hold gate, up, down; empty where CoRA cannot adapt them."""
    widths: tuple[int, ...] = (32,)
    """Distinct input widths of q, k, v, o."""
    block: str = "model.layers"
    rows_of_q_and_v: tuple[int, int] | None = None
    """Fused layer: output rows of q and v together, and of all."""


GROUPED = {"num_key_value_heads": 2}
WIDE_HEADS = GROUPED | {"head_dim": 16}


def _dense(**sizes: Any) -> Case:
    return Case(GROUPED | sizes, ATTENTION, GATED)


MIXTURE_SIZES = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}

CASES = {
    "llama": _dense(),
    "mistral": _dense(sliding_window=4),
    "qwen2": _dense(),
    "qwen3": Case(WIDE_HEADS, ATTENTION, GATED, widths=(32, 64)),
    "gemma": _dense(head_dim=8),
    "gemma2": Case(WIDE_HEADS | {"sliding_window": 4}, ATTENTION, GATED, widths=(32, 64)),
    "gemma3_text": Case(WIDE_HEADS | {"sliding_window": 4}, ATTENTION, GATED, widths=(32, 64)),
    "olmo": _dense(),
    "olmo2": _dense(),
    "phi3": Case(
        GROUPED,
        ["self_attn.qkv_proj", "self_attn.o_proj"],
        ["mlp.gate_up_proj", "mlp.down_proj"],
        rows_of_q_and_v=(48, 64),
    ),
    "gpt2": Case(
        {"n_positions": 64},
        ["attn.c_attn", "attn.c_proj"],
        ["mlp.c_fc", "mlp.c_proj"],
        block="transformer.h",
        rows_of_q_and_v=(64, 96),
    ),
    "gpt_neox": Case(
        {},
        ["attention.query_key_value", "attention.dense"],
        ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"],
        block="gpt_neox.layers",
        rows_of_q_and_v=(64, 96),
    ),
    "mixtral": Case(GROUPED | {"num_local_experts": 4}, ATTENTION, []),
    "qwen3_moe": Case(MIXTURE_SIZES | WIDE_HEADS, ATTENTION, [], widths=(32, 64)),
    "olmoe": Case(MIXTURE_SIZES | GROUPED, ATTENTION, []),
}

DENSE_NAMES = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.dense"]
OUT_NAMES = [*ATTENTION[:3], "self_attn.out_proj"]

CASES |= {
    "bloom": Case(
        {"n_layer": 2, "n_head": 4},
        ["self_attention.query_key_value", "self_attention.dense"],
        ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"],
        block="transformer.h",
        rows_of_q_and_v=(64, 96),
    ),
    "exaone4": _dense(),
    "glm": Case(GROUPED | {"head_dim": 8}, ATTENTION, ["mlp.gate_up_proj", "mlp.down_proj"]),
    "gptj": Case(
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4, "n_positions": 64},
        ["attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj"],
        ["mlp.fc_in", "mlp.fc_out"],
        block="transformer.h",
    ),
    "granite": _dense(attention_multiplier=0.35),
    "opt": Case(
        {"ffn_dim": 48, "word_embed_proj_dim": 32},
        OUT_NAMES,
        ["fc1", "fc2"],
        block="model.decoder.layers",
    ),
    "phi": Case({}, DENSE_NAMES, ["mlp.fc1", "mlp.fc2"]),
    "smollm3": _dense(),
    "stablelm": _dense(),
    "starcoder2": Case(GROUPED, ATTENTION, ["mlp.c_fc", "mlp.c_proj"]),
}

GATELESS = {"bloom", "gptj", "opt", "phi", "starcoder2", "gpt2", "gpt_neox"}


def _backbone(model_type: str) -> PreTrainedModel:
    sizes: dict[str, Any] = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.2,
    }
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **(sizes | CASES[model_type].sizes))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    # Frozen, as under an adapter: torch takes another path through the attention otherwise, which
    # shows in the last bit.
    return model.eval().requires_grad_(False)


def _config(targets: list[Any] | None = None) -> CoraConfig:
    generator = GeneratorConfig.preset("fit", 4)
    return CoraConfig(
        generator=generator, r=3, alpha=6.0, target_modules=targets or ["q", "k", "v", "o"]
    )


def _batch() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    input_ids = torch.randint(3, 50, (3, 6), generator=rng)
    input_ids[0, :2] = 0
    return {"input_ids": input_ids, "attention_mask": (input_ids != 0).long()}


VECTORS = torch.randn(3, 8, generator=torch.Generator().manual_seed(2))


def _logits(model: Any, rows: slice = slice(None), **inputs: Any) -> torch.Tensor:
    batch = {name: value[rows] for name, value in _batch().items()}
    with torch.no_grad():
        logits: torch.Tensor = model(**batch, **inputs, logits_to_keep=1).logits
    return logits[:, -1]


@pytest.fixture(params=CASES)
def model_type(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def adapted(model_type: str, randomize: Callable[..., None]) -> PeftModel:
    model = get_peft_model(_backbone(model_type), _config()).eval()
    randomize(model)
    return model


def _names(model_type: str, modules: list[str]) -> list[str]:
    return [f"{CASES[model_type].block}.{block}.{name}" for block in range(2) for name in modules]


def test_adapted_modules(model_type: str, adapted: PeftModel) -> None:
    expected = _names(model_type, CASES[model_type].attention)
    assert sorted(adapted.targeted_module_names) == sorted(expected)
    widths = tuple(adapted.base_model.matrices(VECTORS))
    assert widths == CASES[model_type].widths


def test_feed_forward_modules(model_type: str) -> None:
    case = CASES[model_type]
    roles = ["up", "down"] if model_type in GATELESS else ["gate", "up", "down"]
    if not case.feed_forward:
        with pytest.raises(ConfigError, match=f"'{model_type}' has no linear layer.*experts"):
            get_peft_model(_backbone(model_type), _config(roles))
        return
    model = get_peft_model(_backbone(model_type), _config(roles))
    expected = _names(model_type, case.feed_forward)
    assert sorted(model.targeted_module_names) == sorted(expected)


def test_first_step_equals_the_frozen_model(model_type: str) -> None:
    frozen = _logits(_backbone(model_type))
    model = get_peft_model(_backbone(model_type), _config()).eval()
    assert torch.equal(_logits(model, cf_vectors=VECTORS), frozen)


def test_adapter_off_equals_the_frozen_model(model_type: str, adapted: PeftModel) -> None:
    frozen = _logits(_backbone(model_type))
    assert (_logits(adapted, cf_vectors=VECTORS) - frozen).abs().max() > 1e-2
    with adapted.disable_adapter():
        assert torch.equal(_logits(adapted), frozen)
        assert torch.equal(_logits(adapted, cf_vectors=VECTORS), frozen)
    assert torch.equal(_logits(adapted.unload()), frozen)


def test_rows_of_a_batch_equal_rows_alone(adapted: PeftModel) -> None:
    together = _logits(adapted, cf_vectors=VECTORS)
    for row in range(3):
        rows = slice(row, row + 1)
        alone = _logits(adapted, rows, cf_vectors=VECTORS[rows])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)


def test_saved_keys_and_reload(model_type: str, adapted: PeftModel, tmp_path: Path) -> None:
    adapted.save_pretrained(str(tmp_path))
    keys = load_file(tmp_path / "adapter_model.safetensors").keys()
    projections = {
        f"base_model.model.{name}.cora_projection.weight"
        for name in _names(model_type, CASES[model_type].attention)
    }
    generator = {
        f"base_model.cora_generator.{name}"
        for name, _ in adapted.base_model.cora_generator["default"].named_parameters()
    }
    assert keys == projections | generator
    reloaded = PeftModel.from_pretrained(_backbone(model_type), str(tmp_path))
    expected = _logits(adapted, cf_vectors=VECTORS)
    assert torch.equal(_logits(reloaded, cf_vectors=VECTORS), expected)


def test_a_held_pair_acts_on_the_plain_model_and_then_it_is_frozen_again(
    model_type: str, adapted: PeftModel
) -> None:
    wanted = _logits(adapted, cf_vectors=VECTORS[:1].expand(3, -1))
    frozen = _logits(_backbone(model_type))
    with held_pair(adapted.base_model, VECTORS[0]) as model:
        held = _logits(model)
    torch.testing.assert_close(held, wanted, rtol=1e-4, atol=1e-4)
    assert (held - frozen).abs().max() > 1e-3
    with adapted.disable_adapter():
        assert torch.equal(_logits(adapted.get_base_model()), frozen)


def test_merged_pair_scores_like_the_adapter(model_type: str, adapted: PeftModel) -> None:
    frozen = _logits(_backbone(model_type))
    expected = _logits(adapted, cf_vectors=VECTORS)
    for row in range(3):
        adapted.merge_pair(VECTORS[row])
        merged = _logits(adapted)[row]
        difference = (merged - expected[row]).abs().max() / expected[row].abs().max()
        assert difference < MERGE_TOLERANCE
        adapted.unmerge_adapter()
    with adapted.disable_adapter():
        assert torch.equal(_logits(adapted), frozen)


def test_fewer_roles_of_a_fused_layer(model_type: str, randomize: Callable[..., None]) -> None:
    case = CASES[model_type]
    model = get_peft_model(_backbone(model_type), _config(["q", "v"])).eval()
    randomize(model)
    fused = f"{case.block}.0.{case.attention[0]}"
    layer = model.get_base_model().get_submodule(fused)
    if case.rows_of_q_and_v is None:
        assert len(model.targeted_module_names) == 4
        return
    chosen, total = case.rows_of_q_and_v
    assert layer.cora_projection["default"].weight.shape == (chosen, 3)
    assert layer.out_features == total

    keys: list[torch.Tensor] = []

    def split(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if model_type in ("bloom", "gpt_neox"):
            keys.append(output.view(3, 6, 4, 3, 8)[..., 1, :])
        elif model_type == "phi3":
            keys.append(output[..., 32:48])
        else:
            keys.append(output[..., 32:64])

    hook = layer.register_forward_hook(split)
    _logits(model, cf_vectors=VECTORS)
    with model.disable_adapter():
        _logits(model)
    hook.remove()
    assert torch.equal(keys[0], keys[1])  # the key rows of the first block have no increment


def test_gradients_of_the_first_step(model_type: str) -> None:
    model = get_peft_model(_backbone(model_type), _config()).train()
    logits = model(**_batch(), cf_vectors=VECTORS, logits_to_keep=1).logits
    torch.autograd.backward(logits[:, -1, 7].sum())
    for name, parameter in model.named_parameters():
        if "cora_projection" in name:
            assert parameter.grad.abs().max() > 0
        elif "cora_generator" in name:
            assert not parameter.grad.any()
        else:
            assert parameter.grad is None


def test_generator_trains_once_the_projections_are_not_zero(adapted: PeftModel) -> None:
    logits = adapted(**_batch(), cf_vectors=VECTORS, logits_to_keep=1).logits
    torch.autograd.backward(logits[:, -1, 7].sum())
    for final in adapted.base_model.cora_generator["default"].final.values():
        assert final.weight.grad.abs().max() > 0


def test_generate_greedily_equals_steps_by_hand(adapted: PeftModel) -> None:
    batch = _batch()
    generated = adapted.generate(
        **batch, cf_vectors=VECTORS, max_new_tokens=3, do_sample=False, eos_token_id=[]
    )
    ids, mask = batch["input_ids"], batch["attention_mask"]
    for _ in range(3):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        with torch.no_grad():
            logits = adapted(
                input_ids=ids, attention_mask=mask, cf_vectors=VECTORS, position_ids=positions
            ).logits[:, -1]
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
        mask = torch.cat([mask, torch.ones(3, 1, dtype=mask.dtype)], dim=1)
    assert torch.equal(generated, ids)


SEES_A_WINDOW = {"mistral", "gemma2", "gemma3_text"}
OWN_ATTENTION = {"bloom", "gptj"}
"""Attention that does not go through the registry of Transformers."""


def _sharing_backbone(model_type: str, attention: str) -> PreTrainedModel:
    model = _backbone(model_type)
    if model_type in SEES_A_WINDOW:
        model.config.sliding_window = 64
        for module in model.modules():
            if getattr(module, "sliding_window", None):
                module.sliding_window = 64
    if model.config._attn_implementation != attention:
        model.set_attn_implementation(attention)
    return model


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_late_activation_on_shared_prefixes_has_the_same_loss_and_gradients(
    model_type: str, attention: str, randomize: Callable[..., None]
) -> None:
    if model_type == "gemma2" and attention == "sdpa":
        return  # Transformers has none
    model = get_peft_model(_sharing_backbone(model_type, attention), _config()).eval()
    randomize(model)
    rng = torch.Generator().manual_seed(3)
    ids = torch.randint(3, 50, (4, 12), generator=rng)
    mask = torch.ones_like(ids)
    mask[0, :3], mask[2, :1] = 0, 0
    ids[1, :7] = ids[3, :7]  # two rows with one prefix, and of other lengths than the others'
    starts = torch.tensor([7, 7, 9, 7])
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    vectors = torch.randn(4, 8, generator=rng)
    active = torch.arange(12) >= starts[:, None]
    with model.disable_adapter():
        if model_type in OWN_ATTENTION:
            with pytest.raises(NotSharedError, match="registry"):
                PrefixSharing(model.get_base_model())
            return
        sharing = PrefixSharing(model.get_base_model())
    outcomes = []
    split = split_prompts(ids, mask, starts)
    assert split is not None
    assert len(split.prefix_ids) == 3
    assert sharing.holds(split)
    for shared in (False, True):
        model.zero_grad()
        if shared:
            with model.disable_adapter():
                prefixes = sharing.read(split.prefix_ids)
            with sharing.joined(prefixes, split) as joined_mask:
                logits = model(
                    input_ids=split.suffix_ids,
                    attention_mask=joined_mask,
                    position_ids=split.position_ids,
                    cf_vectors=vectors,
                    use_cache=False,
                ).logits[:, -1, :2]
        else:
            logits = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                cf_vectors=vectors,
                cf_active=active,
                use_cache=False,
            ).logits[:, -1, :2]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
        )
        torch.autograd.backward(loss)
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        outcomes.append({"loss": loss.detach()} | gradients)
    whole, apart = outcomes
    assert whole.keys() == apart.keys()
    for name, value in whole.items():
        assert (apart[name] - value).abs().max() <= 1e-5 * max(1.0, float(value.abs().max())), name
    assert whole["base_model.cora_generator.default.final.32.weight"].abs().max() > 1e-3
