"""A short name for a model's weights, to tell whether an adapter was trained on them."""

import hashlib

import torch
from transformers import PreTrainedModel

_VALUES_PER_TENSOR = 64


def fingerprint(model: PreTrainedModel) -> str:
    """Return the architecture and a hash over names, shapes and a sample of each weight.

    The sample is rounded to bf16, so that a model has one fingerprint in any precision; a
    quantised model is another model and has another one.
    """
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        if not weight.is_meta:
            values = weight.detach().flatten()
            stride = max(1, values.numel() // _VALUES_PER_TENSOR)
            sample = values[::stride].to("cpu", torch.bfloat16)
            digest.update(sample.view(torch.int16).numpy().tobytes())
    return f"{type(model).__name__}-{digest.hexdigest()[:16]}"
