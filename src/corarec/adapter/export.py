"""The increment of one pair as a plain LoRA, which needs nothing of this package to run."""

from collections.abc import Collection
from pathlib import Path

import torch
from peft import LoraConfig, TaskType
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from corarec.adapter.config import CoraConfig
from corarec.adapter.layer import CoraLayer, Projection
from corarec.adapter.model import CoraModel
from corarec.errors import ConfigError

WEIGHTS = "adapter_model.safetensors"


def export_lora(
    tuner: CoraModel,
    cf_vectors: torch.Tensor,
    folder: Path,
    *,
    base_model: str,
    revision: str | None = None,
) -> LoraConfig:
    """Write the increment of one pair, `cf_vectors: [2d]`, as PEFT writes a LoRA.

    Of every adapted layer `lora_A` is the generated `A`, transposed, and `lora_B` is `P`, with
    rows of zeros where a fused layer is adapted in part. `PeftModel.from_pretrained(plain, folder)`
    scores like the adapter does for that pair, and so does any engine that serves such a LoRA.

    Parameters
    ----------
    tuner
        The `base_model` of a PEFT model with CoRA.
    folder
        An existing folder; gets `adapter_config.json` and `adapter_model.safetensors` (float32).
    base_model, revision
        Where the frozen model is found: a name on the Hugging Face hub or a folder.

    Raises
    ------
    DataError
        The shape of `cf_vectors` is wrong.
    ConfigError
        One adapted layer stands at several places of the model, which a LoRA cannot say.
    """
    adapter_name = tuner.active_adapters[0]
    cora: CoraConfig = tuner.peft_config[adapter_name]
    matrices = tuner.pair_matrices(cf_vectors)
    layers = _adapted_layers(tuner.model, adapter_name)
    weights = {}
    for name, layer in layers.items():
        projection = layer.cora_projection[adapter_name]
        assert isinstance(projection, Projection)
        down = matrices[layer.in_features].T
        # Copies: layers of one width share the matrix, and a file holds every weight by itself.
        weights[f"base_model.model.{name}.lora_A.weight"] = down.float().cpu().contiguous().clone()
        weights[f"base_model.model.{name}.lora_B.weight"] = projection.on_all_rows(
            layer.out_features
        )
    lora = LoraConfig(
        r=cora.r,
        lora_alpha=_whole(cora.alpha),
        lora_dropout=0.0,
        fan_in_fan_out=any(isinstance(layer.base_layer, Conv1D) for layer in layers.values()),
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=base_model,
        revision=revision,
        inference_mode=True,
    )
    # Not among the arguments, of which PEFT makes a set, in another order every time.
    lora.target_modules = _shortest_names(tuner.model, layers)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    lora.save_pretrained(str(folder))
    return lora


def _adapted_layers(model: nn.Module, adapter_name: str) -> dict[str, CoraLayer]:
    """Return the adapted layers by all their names."""
    layers, places = {}, dict[CoraLayer, set[tuple[int, str]]]()
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, CoraLayer) and adapter_name in module.cora_projection:
            layers[name] = module
            parent, _, last = name.rpartition(".")
            places.setdefault(module, set()).add((id(model.get_submodule(parent)), last))
    if several := [layer.name for layer, where in places.items() if len(where) > 1]:
        raise ConfigError(
            f"{several[0]} is one layer that stands at several places of the model, and PEFT puts "
            "a LoRA on one of them only. Merge the pair with `merge_pair(cf_vectors)` instead."
        )
    return layers


def _shortest_names(model: nn.Module, wanted: Collection[str]) -> list[str]:
    """Return the shortest ends of names by which PEFT finds these modules and no others."""
    others = [name for name, _ in model.named_modules() if name not in wanted]
    ends = set()
    for name in wanted:
        parts = name.split(".")
        tails = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        ends.add(next((tail for tail in tails if not _is_end(tail, others)), name))
    return sorted(ends)


def _is_end(tail: str, names: Collection[str]) -> bool:
    return any(name == tail or name.endswith(f".{tail}") for name in names)


def _whole(number: float) -> int | float:
    """Return a whole number as such, which is what some engines insist on."""
    return int(number) if number == int(number) else number
