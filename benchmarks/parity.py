"""Compare our CoRA with tensors that the authors' code made.

    python benchmarks/parity.py FILE

FILE holds the weights, inputs, outputs and gradients of a small CoRA model. The model is built
through this package with the sizes in the file's metadata. For `A`, the logits at the last
position, the loss and each stored gradient, the largest difference divided by the tensor's largest
magnitude is printed; one above 3e-5 makes the exit status 1.
"""

import argparse
import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model
from safetensors import safe_open
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from corarec.adapter import CoraConfig, GeneratorConfig, Role
from corarec.provenance import made_by, provenance

TOLERANCE = 3e-5

_ROLES: dict[str, Role] = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}


def compare(path: Path) -> dict[str, float]:
    """Return the name of each stored result -> its relative difference from ours."""
    with safe_open(path, "pt") as file:
        metadata: dict[str, str] = file.metadata()
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = _build(metadata, stored["io.input_ids"])
    _load(model, stored)
    model.eval()

    pairs = stored["io.ui_embedding"]
    width = int(metadata["hidden_size"])
    logits = model(
        input_ids=stored["io.input_ids"],
        attention_mask=stored["io.attention_mask"],
        cf_vectors=pairs,
        logits_to_keep=1,
    ).logits[:, -1]
    yes = logits[:, int(metadata["yes_token_id"])]
    loss = functional.binary_cross_entropy_with_logits(yes, stored["io.label"])
    torch.autograd.backward(loss)

    ours = {
        "io.A": model.base_model.matrices(pairs)[width],
        "io.logits_last": logits,
        "io.yes_logit": yes,
        "io.loss": loss.view(1),
    }
    parameters = dict(model.named_parameters())
    for name in stored:
        if name.startswith("grad."):
            parameter = parameters[_our_name(name.removeprefix("grad."), width)]
            # The one key of the cross-attention has no influence: its gradient is left out.
            gradient = parameter.grad
            ours[name] = torch.zeros_like(parameter) if gradient is None else gradient
    return {
        name: _relative_difference(value.detach(), stored[name]) for name, value in ours.items()
    }


def _build(metadata: dict[str, str], input_ids: torch.Tensor) -> PeftModel:
    heads = metadata["num_heads"]
    backbone = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=int(metadata["vocab_size"]),
            hidden_size=int(metadata["hidden_size"]),
            intermediate_size=int(metadata["intermediate_size"]),
            num_hidden_layers=int(metadata["num_layers"]),
            num_attention_heads=int(heads),
            num_key_value_heads=int(metadata.get("num_key_value_heads", heads)),
            rms_norm_eps=float(metadata["rms_norm_eps"]),
            rope_parameters={"rope_type": "default", "rope_theta": float(metadata["rope_theta"])},
            max_position_embeddings=max(64, input_ids.shape[1]),
            pad_token_id=0,
        )
    )
    generator = GeneratorConfig(
        vector_size=int(metadata["cf_embedding_size"]),
        num_queries=int(metadata["num_queries"]),
        num_blocks=int(metadata["generator_blocks"]),
        num_heads=int(metadata["generator_heads"]),
        feed_forward_size=int(metadata["generator_intermediate"]),
        layer_norm_eps=float(metadata["layer_norm_eps"].split()[0]),
    )
    rank = int(metadata["rank"])
    config = CoraConfig(
        generator=generator,
        r=rank,
        alpha=float(metadata["scaling"]) * rank,
        target_modules=[_ROLES[name] for name in metadata["target_modules"].split(",")],
    )
    return get_peft_model(backbone, config)


def _our_name(name: str, width: int) -> str:
    """Translate a neutral name of the file into a parameter name of the PEFT model."""
    part, _, rest = name.partition(".")
    if part == "generator":
        return f"base_model.cora_generator.default.{rest.replace('final', f'final.{width}')}"
    if part == "projection":
        layer, module, _ = rest.split(".")
        owner = "self_attn" if _ROLES[module] in ("q", "k", "v", "o") else "mlp"
        block = f"base_model.model.model.layers.{layer}.{owner}.{module}"
        return f"{block}.cora_projection.default.weight"
    return f"base_model.model.{rest}"


def _load(model: PeftModel, stored: dict[str, torch.Tensor]) -> None:
    """Fill every parameter of the model from the file, each once."""
    width: int = model.config.hidden_size
    weights = {
        _our_name(name, width): value
        for name, value in stored.items()
        if name.startswith(("backbone.", "generator.", "projection."))
    }
    for name, parameter in model.named_parameters():
        parameter.data.copy_(weights.pop(name.replace(".base_layer", "")))
    if weights:
        raise ValueError(f"The model has no place for {', '.join(weights)} of the file.")


def _relative_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    difference = (ours.double() - theirs.double()).abs().max()
    return float(difference / theirs.double().abs().max().clamp_min(1e-30))


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, help="a parity file, such as cora_reference.safetensors")
    differences = compare(parser.parse_args(arguments).file)
    for name, difference in differences.items():
        verdict = "" if difference <= TOLERANCE else f"  not within {TOLERANCE:g}"
        print(f"{difference:9.2e}  {name.removeprefix('io.')}{verdict}")
    print(made_by({"provenance": provenance()}))
    return int(not all(difference <= TOLERANCE for difference in differences.values()))


if __name__ == "__main__":
    sys.exit(main())
