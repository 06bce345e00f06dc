"""Which architectures CoRA adapts, tried on one small random model of each.

    python benchmarks/architectures.py [FAMILY ...]

Every causal language model of the installed transformers is built with four blocks or so and put
through the contract: which layers are found and in how many blocks, step 0 and the disabled adapter
equal to the frozen model bit for bit, rows of a batch equal to rows alone, a gradient in every `P`
and in the generator, saving and reloading, a merged pair, late activation. The
results are written to `results/architectures.json`, where the families named replace their own;
docs/backbone.md shows them.
"""

import argparse
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel, get_peft_model
from rich.console import Console
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from corarec.adapter import ROLES, CoraConfig, GeneratorConfig, LayerPattern, Role
from corarec.adapter.architectures import find_layers
from corarec.adapter.layer import CoraLayer
from corarec.backbone.checks import check_architecture
from corarec.errors import CorarecError
from corarec.files import read_json, write_json
from corarec.provenance import provenance

RESULT = Path(__file__).parent / "results" / "architectures.json"
TOLERANCE = 1e-4
"""Of what is not equal bit for bit, relative to the largest logit."""
LARGEST = 20_000_000
"""Parameters of a model that is still small."""

SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner"), 48),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    "vocab_size": 64,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
    "sliding_window": 4,
    "num_experts_per_tok": 2,
}
"""Given to every config that knows the name."""

LATENT = {
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 12,
    "v_head_dim": 8,
    "head_dim": 4,
    "num_key_value_heads": 4,
    "n_group": 1,
    "topk_group": 1,
}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}

MIXED = ["linear_attention", "full_attention"] * 2

CHANGES: dict[str, dict[str, Any]] = {
    "axk1": LATENT,
    "bailing_hybrid": LATENT | {"layer_types": MIXED, "linear_head_dim": 8, "linear_num_heads": 4},
    "bamba": MAMBA | {"attn_layer_indices": [1, 3]},
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT,
    "dots1": LATENT | {"n_shared_experts": 1},
    "dots3_note_text": {"num_key_value_heads": 4},
    "codegen": {"rotary_dim": 4},
    "falcon": {"head_dim": None},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 64},
    "gemma4_text": {"vocab_size_per_layer_input": 64},
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": MAMBA | {"layer_types": ["mamba", "attention"] * 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "kimi_linear": LATENT | {"layer_types": MIXED, "linear_head_dim": 8, "linear_num_heads": 4},
    "hy_v4": LATENT,
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1},
    "minicpm3": LATENT,
    "mllama": {"text_config": {"cross_attention_layers": [3]}},
    "phi3": {"sliding_window": None},
    "youtu": LATENT,
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "mamba_headdim": 8,
        "n_mamba_heads": 8,
        "attention_head_dim": 16,
        "attention_hidden_size": 64,
    },
    "zaya": {"num_experts_per_tok": 1},
}
"""`model_type` -> what it needs beside, or instead of, the common sizes; None leaves one out."""


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "falcon, new_decoder_architecture": (
        "falcon",
        {"new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon, one key head for each query head": ("falcon", {"multi_query": False}),
    "gpt_bigcode, one key head for each query head": ("gpt_bigcode", {"multi_query": False}),
}
"""Other forms of a family: title -> `model_type`, changes."""


def families() -> list[str]:
    """Return all that is tried."""
    return sorted((*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS))


def small_config(family: str) -> Any:
    """Return the config of a small model of a family."""
    model_type, changes = VARIANTS.get(family, (family, {}))
    default = AutoConfig.for_model(model_type)
    fields = _known_sizes(default)
    for name in default.sub_configs:
        part = getattr(default, name, None)
        if part is not None:
            fields[name] = {"model_type": part.model_type, **_known_sizes(part)}
    for name, value in (CHANGES.get(model_type, {}) | changes).items():
        fields[name] = {**fields[name], **value} if isinstance(value, dict) else value
    return AutoConfig.for_model(model_type, **{k: v for k, v in fields.items() if v is not None})


def _known_sizes(config: Any) -> dict[str, Any]:
    known = dir(config)
    return {name: size for name, size in SIZES.items() if name in known}


def small_model(config: Any) -> PreTrainedModel:
    """Return a frozen model in evaluation, the same for the same config."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(deepcopy(config))
    # Frozen, as under an adapter: torch takes another path through the attention otherwise, which
    # shows in the last bit.
    return model.eval().requires_grad_(False)


def attention_blocks(config: Any) -> int:
    """Return the number of blocks with an attention of the text to itself, as the config says."""
    text = config.get_text_config()
    kinds = None
    for name in ("layer_types", "layers_block_type"):
        kinds = kinds or getattr(text, name, None)
    if kinds is None:
        others = len(getattr(text, "cross_attention_layers", None) or ())
        return int(text.num_hidden_layers) - others
    recurrent = ("linear_attention", "gated_delta", "mamba", "recurrent")
    attending = ("attention", "hybrid", "sparse", "parallel")
    return sum(
        any(word in kind for word in attending) and not any(word in kind for word in recurrent)
        for kind in kinds
    )


class Contract:
    """What must hold of CoRA on one architecture; each method is one point of it.

    Parameters
    ----------
    config
        Of a small model.
    roles
        Those to adapt.
    """

    def __init__(self, config: Any, roles: list[Role]) -> None:
        self.roles = roles
        self.frozen = small_model(config)
        self.model = get_peft_model(small_model(config), self._config())
        self.model.eval()
        self.config = config
        rng = torch.Generator().manual_seed(1)
        ids = torch.randint(3, 60, (3, 8), generator=rng)
        ids[0, :2] = 0
        self.batch = {"input_ids": ids, "attention_mask": (ids != 0).long()}
        self.vectors = torch.randn(3, 8, generator=rng)
        self.plain = self._logits(self.frozen)

    def _config(self) -> CoraConfig:
        generator = GeneratorConfig.preset("fit", 4, dropout=0.0)
        return CoraConfig(generator=generator, r=3, alpha=6.0, targets=list(self.roles))

    def _logits(self, model: Any, rows: slice = slice(None), **inputs: Any) -> torch.Tensor:
        batch = {name: value[rows] for name, value in self.batch.items()}
        with torch.no_grad():
            logits: torch.Tensor = model(**batch, **inputs, use_cache=False).logits
        return logits

    def _own(self) -> torch.Tensor:
        return self._logits(self.model, cf_vectors=self.vectors)

    def check(self) -> None:
        """Go through all points, in this order.

        Raises
        ------
        AssertionError
            One does not hold.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="The model did not call")
            self.first_step()
            self.gradients()
            self.acting()
            self.disabled()
            self.rows_alone()
            self.late()
            self.saved()
            self.merged()
            self.unloaded()

    def first_step(self) -> None:
        """P is zero: the model is the frozen one, bit for bit."""
        assert torch.equal(self._own(), self.plain), "step 0 differs from the frozen model"

    def gradients(self) -> None:
        """Every P has a gradient, the frozen weights have none; then the generator has one, too."""
        self._backward()
        for name, parameter in self.model.named_parameters():
            finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
            assert finite, "the frozen model's own gradient is no number where rows are padded"
            reached = parameter.grad is not None and bool(parameter.grad.any())
            assert reached == ("cora_projection" in name), f"gradient of {name}: {reached}"
        rng = torch.Generator().manual_seed(2)
        for name, parameter in self.model.named_parameters():
            if "cora_projection" in name:
                parameter.data.normal_(std=0.3, generator=rng)
        self._backward()
        for width, final in self.model.base_model.cora_generator["default"].final.items():
            assert final.weight.grad.any(), f"no gradient in the generator of width {width}"

    def _backward(self) -> None:
        self.model.zero_grad()
        torch.manual_seed(0)
        self.model.train()
        logits = self.model(**self.batch, cf_vectors=self.vectors, use_cache=False).logits
        weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(3))
        torch.autograd.backward((logits * weights).sum())
        self.model.eval()

    def acting(self) -> None:
        """See that the increment changes the logits of each row, and not to NaN."""
        change = (self._own() - self.plain)[:, -1].abs().amax(dim=-1)
        assert bool((change > 1e-3).all()), f"the increment changes the rows by {change.tolist()}"

    def disabled(self) -> None:
        """See that the disabled adapter leaves the frozen model, bit for bit."""
        with self.model.disable_adapter():
            off = self._logits(self.model, cf_vectors=self.vectors)
        assert torch.equal(off, self.plain), "the disabled adapter differs from the frozen model"

    def rows_alone(self) -> None:
        """Rows of a batch are what they are alone."""
        together = self._own()
        for row in range(3):
            one = slice(row, row + 1)
            alone = self._logits(self.model, one, cf_vectors=self.vectors[one])[0]
            self._close(alone, together[row], row, "a row alone differs from the row in a batch")

    def late(self) -> None:
        """No increment before the first active token; all tokens active is as without a mask."""
        active = torch.zeros(3, 8, dtype=torch.bool)
        never = self._logits(self.model, cf_vectors=self.vectors, cf_active=active)
        assert torch.equal(never, self.plain), "a mask of no token is not the frozen model"
        active[:, 5:] = True
        late = self._logits(self.model, cf_vectors=self.vectors, cf_active=active)
        for row in range(3):
            self._close(late[row, :5], self.plain[row, :5], row, "late activation acts too early")
        change = (late - self.plain)[:, -1].abs().amax(dim=-1)
        assert bool((change > 1e-4).all()), "late activation does not act"
        every = self._logits(self.model, cf_vectors=self.vectors, cf_active=active.fill_(True))
        assert torch.equal(every, self._own()), "a mask of all tokens differs from none"

    def _close(self, came: torch.Tensor, wanted: torch.Tensor, row: int, what: str) -> None:
        real = self.batch["attention_mask"][row, -len(wanted) :] if len(wanted) == 8 else None
        if real is not None:
            came, wanted = came[real.bool()], wanted[real.bool()]
        elif row == 0:
            came, wanted = came[2:], wanted[2:]
        difference = float((came - wanted).abs().max() / wanted.abs().max())
        assert difference < TOLERANCE, f"{what} by {difference:.1e}"

    def saved(self) -> None:
        """See that the file holds the generator and every P, and opens to the same scores."""
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder, save_embedding_layers=False)
            keys = set(load_file(Path(folder) / "adapter_model.safetensors"))
            layers = {f"base_model.model.{name}.cora_projection.weight" for name in self.names()}
            generator = self.model.base_model.cora_generator["default"]
            wanted = layers | {
                f"base_model.cora_generator.{name}" for name, _ in generator.named_parameters()
            }
            assert keys == wanted, f"saved keys: {sorted(keys ^ wanted)[:2]}"
            again = PeftModel.from_pretrained(small_model(self.config), folder)
        same = torch.equal(self._logits(again, cf_vectors=self.vectors), self._own())
        assert same, "the reopened adapter scores otherwise"

    def names(self) -> list[str]:
        """Return the adapted layers."""
        modules = self.model.get_base_model().named_modules()
        return [name for name, module in modules if isinstance(module, CoraLayer)]

    def merged(self) -> None:
        """See that a merged pair scores as the adapter does, and that the weights come back."""
        wanted = self._own()
        for row in range(3):
            self.model.merge_pair(self.vectors[row])
            self._close(self._logits(self.model)[row], wanted[row], row, "a merged pair differs")
            self.model.unmerge_adapter()
        self.disabled()

    def unloaded(self) -> None:
        """Taken off, it leaves the frozen model."""
        plain = self.model.unload()
        assert torch.equal(self._logits(plain), self.plain), "unloading leaves another model"


def examine(family: str) -> dict[str, Any]:
    """Return what there is to know of one family.

    Returns
    -------
    dict
        `layers` (role -> where it is), `blocks` adapted and `attention_blocks` of the config, and
        `holds` (whether the whole contract does); or `refused`, with the reason; or `unbuilt`.
    """
    try:
        config = small_config(family)
        check_architecture(family, config)
        with torch.device("meta"):
            meta = AutoModelForCausalLM.from_config(deepcopy(config))
    except CorarecError as error:
        return {"refused": str(error)}
    except Exception as error:  # whatever transformers says of a small config
        return {"unbuilt": _line(error)}
    layers, refusals = {}, {}
    for role in ROLES:
        try:
            patterns = find_layers(meta, [role])
        except CorarecError as error:
            refusals[role] = str(error)
        else:
            layers[role] = [pattern.path for pattern in patterns]
    attention = [role for role in ROLES[:4] if role in layers]
    if len(attention) < 4:
        missing = next(role for role in ROLES[:4] if role in refusals)
        return {"refused": refusals[missing], "layers": layers}
    found: dict[str, Any] = {"layers": layers, "attention_blocks": attention_blocks(config)}
    if sum(weight.numel() for weight in meta.parameters()) > LARGEST:
        return {"unbuilt": "not small", **found}
    for roles in (list(layers), attention):
        fails = _broken_point(config, roles, found)
        if not fails:
            left = [role for role in layers if role not in roles]
            return {**found, "roles": roles, "holds": True} | ({"left": left} if left else {})
    return {**found, "holds": False, "fails": fails}


def _broken_point(config: Any, roles: list[Role], found: dict[str, Any]) -> str:
    """Return what does not hold; set `blocks` of `found`."""
    try:
        contract = Contract(config, roles)
        outputs = [LayerPattern(path=path, roles=("o",)) for path in found["layers"]["o"]]
        found["blocks"] = sum(
            any(pattern.matches(name) for pattern in outputs)
            for name in contract.model.targeted_module_names
        )
        contract.check()
    except Exception as error:  # the table shows it
        return _line(error)
    return ""


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def main() -> None:
    """Try the families named, or all of them and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*")
    chosen = parser.parse_args().families
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    console = Console()
    results: dict[str, dict[str, Any]] = {}
    for family in chosen or families():
        results[family] = examine(family)
        console.print(family, results[family], markup=False, soft_wrap=True)
    if chosen:
        results = read_json(RESULT)["families"] | results
    versions = {"provenance": provenance(), "transformers": transformers.__version__}
    write_json(RESULT, {**versions, "families": dict(sorted(results.items()))})


if __name__ == "__main__":
    main()
