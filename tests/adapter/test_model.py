import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel, get_peft_model, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, Trainer, TrainingArguments

from corarec.adapter import CoraConfig, GeneratorConfig, LayerPattern
from corarec.errors import ArtifactError, ConfigError, DataError

Batch = dict[str, torch.Tensor]
MakeLlama = Callable[..., PreTrainedModel]
MakeConfig = Callable[..., CoraConfig]
Randomize = Callable[..., None]


def _last(model: Any, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(**batch, logits_to_keep=1).logits
    assert logits.shape[1] == 1
    return logits[:, 0]


def _without_vectors(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "cf_vectors"}


# The four states


def test_off_is_frozen_and_on_needs_vectors(model: PeftModel, batch: Batch) -> None:
    text = _without_vectors(batch)
    with model.disable_adapter():
        off = _last(model, text)
    on = _last(model, batch)
    assert not torch.equal(on, off)
    with pytest.raises(DataError, match=r"`cf_vectors` \(\[B, 2d\].*`with model.disable_adapter"):
        _last(model, text)
    with pytest.raises(DataError, match="`cf_vectors`"):
        model.generate(**text, max_new_tokens=1)
    with model.disable_adapter():
        assert torch.equal(_last(model, text), off)
    assert torch.equal(_last(model, batch), on)


def test_cold_user_still_has_an_increment(model: PeftModel, batch: Batch) -> None:
    cold = batch["cf_vectors"].clone()
    cold[:, :3] = 0
    colder = torch.zeros_like(cold)
    with model.disable_adapter():
        off = _last(model, batch)
    scores = [_last(model, batch | {"cf_vectors": vectors}) for vectors in (cold, colder)]
    for score in (*scores, _last(model, batch)):
        assert ((score - off).abs().amax(dim=1) > 1e-3).all()
    assert not torch.equal(scores[0], scores[1])


def test_error_leaves_nothing_bound(model: PeftModel, batch: Batch) -> None:
    with pytest.raises(TypeError):
        model(**batch, cf_vectors_of_before=1, logits_to_keep="many")
    with pytest.raises(DataError, match="no CF vectors came with the batch"):
        _last(model, _without_vectors(batch))


def test_a_pair_that_comes_twice_is_generated_once(model: PeftModel, batch: Batch) -> None:
    twice = batch | {"cf_vectors": batch["cf_vectors"][[0] * len(batch["cf_vectors"])]}
    expected = [_last(model, {k: v[n : n + 1] for k, v in twice.items()}) for n in range(2)]
    generated: list[int] = []
    generator = model.base_model.cora_generator["default"]
    handle = generator.register_forward_pre_hook(lambda _, inputs: generated.append(len(inputs[0])))
    found = _last(model, twice)
    _last(model, batch)
    handle.remove()
    assert generated == [1, len(batch["cf_vectors"])]
    torch.testing.assert_close(found[:2], torch.cat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (torch.zeros(3, 5), r"shape \[3, 5\], but .* \[B, 6\]: a user vector of 3"),
        (torch.zeros(6), r"shape \[6\]"),
        (torch.zeros(2, 6), r"has 2 rows, but the batch .* \[3, 7, 16\]"),
        (torch.zeros(3, 6, dtype=torch.int64), r"type torch.int64.* not ids"),
    ],
)
def test_wrong_vectors_are_refused(
    model: PeftModel, batch: Batch, vectors: torch.Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        model(**(batch | {"cf_vectors": vectors}))


def test_vectors_of_any_precision(model: PeftModel, batch: Batch) -> None:
    double = batch | {"cf_vectors": batch["cf_vectors"].double()}
    assert torch.equal(_last(model, double), _last(model, batch))


# What it computes


def test_equals_the_formula_on_the_first_layer(model: PeftModel, batch: Batch) -> None:
    seen: dict[str, torch.Tensor] = {}
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    layer.register_forward_hook(lambda _, inputs, output: seen.update(x=inputs[0], y=output))
    _last(model, batch)
    A = model.base_model.matrices(batch["cf_vectors"])[16]
    P = layer.cora_projection["default"].weight
    W = layer.base_layer.weight
    for row in range(3):
        merged = W + 4.0 / 2 * (A[row] @ P.T).T
        torch.testing.assert_close(seen["y"][row], seen["x"][row] @ merged.T)


def test_late_activation(model: PeftModel, batch: Batch) -> None:
    text = _without_vectors(batch)
    with model.disable_adapter(), torch.no_grad():
        off = model(**text).logits
    active = torch.zeros(3, 7, dtype=torch.bool)
    active[:, 4:] = True
    with torch.no_grad():
        late = model(**batch, cf_active=active).logits
        on = model(**batch, cf_active=torch.ones_like(active)).logits
    assert torch.equal(late[:, :4], off[:, :4])
    assert ((late - off)[:, 4:].abs().amax(dim=-1) > 1e-3).all()
    assert torch.equal(on, model(**batch).logits)
    with pytest.raises(DataError, match="`cf_active` has the shape"):
        model(**batch, cf_active=active[:, 1:])


def test_late_activation_needs_only_the_frozen_prefix(model: PeftModel, batch: Batch) -> None:
    active = torch.zeros(3, 7, dtype=torch.bool)
    active[:, 4:] = True
    ids, mask, vectors = batch.values()
    with torch.no_grad():
        expected = model(**batch, cf_active=active).logits[:, -1]
        with model.disable_adapter():
            cache = model(input_ids=ids[:, :4], attention_mask=mask[:, :4]).past_key_values
        suffix = model(
            input_ids=ids[:, 4:], attention_mask=mask, past_key_values=cache, cf_vectors=vectors
        ).logits[:, -1]
    torch.testing.assert_close(suffix, expected, rtol=1e-4, atol=1e-5)


def test_dropout_only_in_training(
    make_llama: MakeLlama, make_config: MakeConfig, randomize: Randomize, batch: Batch
) -> None:
    generator = GeneratorConfig.preset("fit", 3, dropout=0.0)
    model = get_peft_model(make_llama(), make_config(dropout=0.5, generator=generator))
    randomize(model)
    evaluated = _last(model.eval(), batch)
    torch.manual_seed(0)
    first, second = _last(model.train(), batch), _last(model, batch)
    assert not torch.equal(first, second)
    model.peft_config["default"].dropout = 0.0
    torch.testing.assert_close(_last(model, batch), evaluated)


def test_half_precision_backbone_with_full_precision_adapter(
    make_llama: MakeLlama, make_config: MakeConfig, randomize: Randomize, batch: Batch
) -> None:
    frozen = make_llama().bfloat16()
    off = _last(frozen, _without_vectors(batch))
    model = get_peft_model(frozen, make_config()).eval()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert {parameter.dtype for parameter in trained} == {torch.float32}
    assert torch.equal(_last(model, batch), off)
    randomize(model)
    logits = model.train()(**batch, logits_to_keep=1).logits
    assert logits.dtype == torch.bfloat16
    torch.autograd.backward(logits.float().square().mean())
    assert all(parameter.grad is not None for parameter in trained)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(_last(model, batch)).all()


def test_moves_with_the_model(model: PeftModel, batch: Batch) -> None:
    model.double()
    generator = model.base_model.cora_generator["default"]
    assert generator.queries.dtype == torch.float64
    assert _last(model, batch).dtype == torch.float64
    assert {parameter.device.type for parameter in model.to("meta").parameters()} == {"meta"}


def test_copy_of_the_model_scores_alike(model: PeftModel, batch: Batch) -> None:
    twin = copy.deepcopy(model)
    assert torch.equal(_last(twin, batch), _last(model, batch))
    assert twin.base_model.binding is not model.base_model.binding


# Generation


@pytest.mark.parametrize("options", [{"num_beams": 3}, {"num_beams": 2, "use_cache": False}])
def test_beams_of_a_batch_equal_beams_alone(
    model: PeftModel, batch: Batch, options: dict[str, Any]
) -> None:
    settings: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, **options}
    together = model.generate(**batch, **settings)
    for row in range(3):
        alone = {name: value[row : row + 1] for name, value in batch.items()}
        generated = model.generate(**alone, **settings)[0]
        assert torch.equal(together[row, : len(generated)], generated)
    with model.disable_adapter():
        assert not torch.equal(model.generate(**batch, **settings), together)


def test_beam_scores_equal_those_of_the_adapter(model: PeftModel, batch: Batch) -> None:
    """The sequences that beam search returns, scored one by one without beams."""
    steps = 3
    found = model.generate(
        **batch,
        max_new_tokens=steps,
        num_beams=2,
        do_sample=False,
        min_new_tokens=steps,
        length_penalty=0.0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    mask = torch.cat([batch["attention_mask"], torch.ones(3, steps, dtype=torch.int64)], dim=1)
    with torch.no_grad():
        logits = model(
            input_ids=found.sequences,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            cf_vectors=batch["cf_vectors"],
        ).logits
    chances = functional.log_softmax(logits[:, -steps - 1 : -1], dim=-1)
    scores = chances.gather(-1, found.sequences[:, -steps:, None]).sum((1, 2))
    torch.testing.assert_close(found.sequences_scores, scores, rtol=1e-4, atol=1e-4)


def test_sampled_sequences_of_a_prompt_share_its_matrix(model: PeftModel, batch: Batch) -> None:
    generated = model.generate(
        **batch, max_new_tokens=2, do_sample=True, num_return_sequences=4, top_k=1
    )
    assert generated.shape[0] == 12
    assert torch.equal(generated[::4].repeat_interleave(4, dim=0), generated)


def test_generator_runs_once_for_a_whole_generation(model: PeftModel, batch: Batch) -> None:
    calls: list[int] = []
    generator = model.base_model.cora_generator["default"]
    generator.register_forward_hook(lambda *_: calls.append(1))
    model.generate(**batch, max_new_tokens=5, num_beams=2)
    assert len(calls) == 1


def test_generation_refuses_what_does_not_fit(model: PeftModel, batch: Batch) -> None:
    one = batch | {"cf_vectors": batch["cf_vectors"][:1]}
    with pytest.raises(DataError, match="1 rows, but there are 3 prompts"):
        model.generate(**one, max_new_tokens=1)
    with pytest.raises(DataError, match="`cf_active` is for forward only"):
        model.generate(**batch, cf_active=torch.ones(3, 7), max_new_tokens=1)


# Several adapters


def test_adapters_are_switched(
    model: PeftModel, make_config: MakeConfig, randomize: Randomize, batch: Batch
) -> None:
    first = _last(model, batch)
    wider = GeneratorConfig.preset("fit", 2)
    model.add_adapter("other", make_config(r=3, target_modules=["v", "down"], generator=wider))
    assert torch.equal(_last(model, batch), first)
    randomize(model, "other")
    model.set_adapter("other")
    other_batch = batch | {"cf_vectors": batch["cf_vectors"][:, :4]}
    second = _last(model.eval(), other_batch)
    assert not torch.equal(second, first)
    with pytest.raises(DataError, match=r"\[B, 4\]"):
        _last(model, batch)
    model.set_adapter("default")
    assert torch.equal(_last(model, batch), first)
    model.delete_adapter("default")
    assert model.active_adapters == ["other"]
    assert torch.equal(_last(model, other_batch), second)
    assert not [name for name, _ in model.named_parameters() if "default" in name]


def _trained(model: PeftModel) -> set[str]:
    """Return which parts of which adapter are trained; each part wholly or not at all."""
    flags: dict[str, set[bool]] = {}
    for name, parameter in model.named_parameters():
        for adapter_name in ("default", "other"):
            for part in ("generator", "projection"):
                if f"cora_{part}.{adapter_name}." in name:
                    flags.setdefault(f"{adapter_name} {part}", set()).add(parameter.requires_grad)
        assert "cora_" in name or not parameter.requires_grad
    assert all(len(flag) == 1 for flag in flags.values())
    return {part for part, flag in flags.items() if True in flag}


def test_gradient_flags_of_generator_and_projections_go_together(
    model: PeftModel, make_config: MakeConfig
) -> None:
    default = {"default generator", "default projection"}
    other = {"other generator", "other projection"}
    assert _trained(model) == default
    model.add_adapter("other", make_config(target_modules=["q", "up"]))
    assert _trained(model) == default
    with model.disable_adapter():
        # Untouched: another thread may be training.
        assert _trained(model) == default
    model.set_requires_grad("other")
    assert _trained(model) == default | other
    model.set_adapter("other")
    assert _trained(model) == other
    model.set_adapter("default", inference_mode=True)
    assert _trained(model) == set()
    assert model.get_model_status().enabled is True


def test_adapter_added_while_disabled_stays_off(
    model: PeftModel, make_config: MakeConfig, batch: Batch
) -> None:
    with model.disable_adapter():
        off = _last(model, batch)
        model.add_adapter("other", make_config(target_modules=["down"]))
        assert torch.equal(_last(model, batch), off)


def test_only_one_adapter_is_active(model: PeftModel, make_config: MakeConfig) -> None:
    model.add_adapter("other", make_config())
    with pytest.raises(ConfigError, match="Only one CoRA adapter"):
        model.base_model.set_adapter(["default", "other"])


def test_failed_adapter_leaves_the_model_as_it_was(
    make_llama: MakeLlama, make_config: MakeConfig
) -> None:
    backbone = make_llama()
    names = [name for name, _ in backbone.named_modules()]
    norms = LayerPattern(path="model.layers.*.input_layernorm", roles=("up",))
    query = LayerPattern(path="model.layers.*.self_attn.q_proj", roles=("q",))
    with pytest.raises(ConfigError, match=r"layers\.0\.input_layernorm is a LlamaRMSNorm"):
        get_peft_model(backbone, make_config(layers=[query, norms], target_modules=["q", "up"]))
    assert [name for name, _ in backbone.named_modules()] == names


def test_direct_injection_is_refused(make_llama: MakeLlama, make_config: MakeConfig) -> None:
    with pytest.raises(ValueError, match="shared state"):
        inject_adapter_in_model(make_config(), make_llama())


# Saving and loading


def test_saves_the_adapter_alone(model: PeftModel, batch: Batch, tmp_path: Path) -> None:
    model.save_pretrained(str(tmp_path))
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(value.numel() for value in saved.values()) == model.get_nb_trainable_parameters()[0]
    assert not [name for name in saved if "default" in name or "base_layer" in name]


@pytest.mark.parametrize("low_memory", [False, True])
def test_reloads_frozen_or_trainable(
    model: PeftModel, make_llama: MakeLlama, batch: Batch, tmp_path: Path, low_memory: bool
) -> None:
    model.save_pretrained(str(tmp_path))
    reloaded = PeftModel.from_pretrained(make_llama(), str(tmp_path), low_cpu_mem_usage=low_memory)
    assert torch.equal(_last(reloaded, batch), _last(model, batch))
    assert _trained(reloaded) == set()
    trainable = PeftModel.from_pretrained(make_llama(), str(tmp_path), is_trainable=True)
    assert _trained(trainable) == {"default generator", "default projection"}


def test_loads_under_another_name_beside_the_first(
    model: PeftModel, randomize: Randomize, batch: Batch, tmp_path: Path
) -> None:
    first = _last(model, batch)
    model.save_pretrained(str(tmp_path))
    randomize(model, seed=7)
    model.load_adapter(str(tmp_path), "other")
    assert not torch.equal(_last(model, batch), first)
    model.set_adapter("other")
    assert torch.equal(_last(model, batch), first)
    model.save_pretrained(str(tmp_path / "both"))
    again = load_file(tmp_path / "both" / "other" / "adapter_model.safetensors")
    torch.testing.assert_close(again, load_file(tmp_path / "adapter_model.safetensors"))


def test_auto_class_finds_the_backbone(
    make_llama: MakeLlama,
    make_config: MakeConfig,
    randomize: Randomize,
    batch: Batch,
    tmp_path: Path,
) -> None:
    make_llama().save_pretrained(tmp_path / "backbone")
    backbone = type(make_llama()).from_pretrained(tmp_path / "backbone")
    model = get_peft_model(backbone, make_config()).eval()
    randomize(model)
    model.save_pretrained(str(tmp_path / "adapter"))
    loaded = AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "adapter"))
    assert torch.equal(_last(loaded, batch), _last(model, batch))


def test_adapter_of_another_backbone_is_refused(
    model: PeftModel, make_llama: MakeLlama, tmp_path: Path
) -> None:
    model.save_pretrained(str(tmp_path))
    wider = make_llama(hidden_size=32)
    with pytest.raises(ArtifactError, match=r"another backbone.*saved as .*wanted as .*trained on"):
        PeftModel.from_pretrained(wider, str(tmp_path))
    deeper = make_llama(num_hidden_layers=3)
    with pytest.raises(ArtifactError, match=r"4 of its.*layers\.2\..* saved as nothing"):
        PeftModel.from_pretrained(deeper, str(tmp_path))
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=4))
    with pytest.raises(ArtifactError, match="another backbone"):
        PeftModel.from_pretrained(gpt2, str(tmp_path))


def test_damaged_file_is_refused(model: PeftModel, make_llama: MakeLlama, tmp_path: Path) -> None:
    model.save_pretrained(str(tmp_path))
    weights = load_file(tmp_path / "adapter_model.safetensors")
    del weights["base_model.cora_generator.queries"]
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ArtifactError, match=r"cora_generator\.default\.queries: saved as nothing"):
        PeftModel.from_pretrained(make_llama(), str(tmp_path))


# Merging


def test_merged_pair_can_be_unloaded_as_a_plain_model(model: PeftModel, batch: Batch) -> None:
    row = {name: value[1:2] for name, value in batch.items()}
    expected = _last(model, row)
    model.train()
    model.merge_pair(row["cf_vectors"][0])
    assert model.base_model.cora_generator["default"].training
    plain = model.eval().unload()
    assert not [name for name, _ in plain.named_modules() if "cora" in name]
    torch.testing.assert_close(_last(plain, _without_vectors(row)), expected, rtol=1e-4, atol=1e-4)


def test_merged_pair_is_not_mixed_with_others(model: PeftModel, batch: Batch) -> None:
    model.merge_pair(batch["cf_vectors"][0])
    with pytest.raises(DataError, match=r"merged into the weights.*unmerge_adapter"):
        _last(model, batch)
    with pytest.raises(DataError, match="merged already"):
        model.merge_pair(batch["cf_vectors"][1])
    model.unmerge_adapter()
    _last(model, batch)


def test_a_merge_that_is_cut_short_leaves_the_model_as_it_was(
    model: PeftModel, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _last(model, batch)
    last = model.base_model.adapted_layers()[-1]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(last, "merge_matrix", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.merge_pair(batch["cf_vectors"][0])
    assert torch.equal(_last(model, batch), expected)


def test_vectors_that_are_refused_leave_the_generator_in_training(model: PeftModel) -> None:
    model.train()
    with pytest.raises(DataError, match="has the shape"):
        model.merge_pair(torch.zeros(3))
    assert model.base_model.cora_generator["default"].training


def test_general_merge_is_refused(model: PeftModel) -> None:
    with pytest.raises(ConfigError, match="merge_pair"):
        model.merge_adapter()
    with pytest.raises(ConfigError, match="merge_pair"):
        model.merge_and_unload()


# Training with the Hugging Face Trainer


class _YesTrainer(Trainer):
    def compute_loss(self, model: Any, inputs: Batch, *_: Any, **__: Any) -> torch.Tensor:
        labels = inputs.pop("labels")
        yes = model(**inputs, logits_to_keep=1).logits[:, -1, 5]
        return functional.binary_cross_entropy_with_logits(yes, labels)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_learns_from_the_vectors_alone(
    make_llama: MakeLlama, make_config: MakeConfig, tmp_path: Path, checkpointing: bool
) -> None:
    """One prompt for all rows; the label is the sign of the user's first number."""
    rng = torch.Generator().manual_seed(0)
    vectors = torch.randn(64, 6, generator=rng)
    labels = (vectors[:, 0] > 0).float()
    prompt = torch.tensor([3, 9, 4, 8])
    rows = [
        {"input_ids": prompt, "cf_vectors": vector, "labels": label}
        for vector, label in zip(vectors, labels, strict=True)
    ]
    model = get_peft_model(make_llama(), make_config())
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=60,
        per_device_train_batch_size=16,
        learning_rate=2e-2,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
        logging_steps=60,
        gradient_checkpointing=checkpointing,
    )
    _YesTrainer(model, arguments, train_dataset=rows).train()
    batch = {"input_ids": prompt.expand(64, -1), "cf_vectors": vectors}
    yes = _last(model.eval(), batch)[:, 5]
    assert ((yes > 0).float() == labels).float().mean() > 0.9


def test_blocks_that_are_not_named_stay_as_they_are(
    make_llama: MakeLlama,
    make_config: MakeConfig,
    randomize: Randomize,
    batch: Batch,
    tmp_path: Path,
) -> None:
    plain = make_llama(num_hidden_layers=3)
    before = plain(**_without_vectors(batch), output_hidden_states=True).hidden_states
    model = get_peft_model(make_llama(num_hidden_layers=3), make_config(layers_to_transform=[1]))
    randomize(model)
    model.eval()
    after = model(**batch, output_hidden_states=True).hidden_states
    # What enters blocks 0 and 1 is that of the frozen model, bit for bit; what leaves 1 is not.
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])
    assert not torch.allclose(after[2], before[2])
    adapted = [name for name, _ in model.named_parameters() if "cora_projection" in name]
    assert adapted
    assert all(".layers.1." in name for name in adapted)
    model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(make_llama(num_hidden_layers=3), tmp_path).eval()
    assert torch.equal(again(**batch).logits, model(**batch).logits)
