"""How large the increments are that pairs get."""

from dataclasses import dataclass

import torch
from transformers.pytorch_utils import Conv1D

from corarec.adapter.config import CoraConfig
from corarec.adapter.layer import CoraLayer, Projection, is_plain
from corarec.adapter.model import CoraModel

_CHUNK = 32


@dataclass(frozen=True)
class IncrementNorm:
    """The size of the increments of one adapted layer."""

    layer: str
    """Full name inside the backbone."""
    increment: float
    """Mean over the pairs of the Frobenius norm of `alpha / r * P A^T`."""
    frozen: float | None
    """Frobenius norm of the frozen weight, of the adapted rows of a fused one; None where it is not
    stored as plain numbers."""


@torch.no_grad()
def increment_norms(tuner: CoraModel, cf_vectors: torch.Tensor) -> list[IncrementNorm]:
    """Measure the increments of the pairs in `cf_vectors: [B, 2d]`, in the order of the model.

    No product is formed: `||P A^T||^2` is the sum over the elements of `P^T P` times `A^T A`, two
    matrices of `r x r`.

    Parameters
    ----------
    tuner
        The `base_model` of a PEFT model with CoRA.

    Raises
    ------
    DataError
        The shape of `cf_vectors` is wrong.
    """
    adapter_name = tuner.active_adapters[0]
    config: CoraConfig = tuner.peft_config[adapter_name]
    grams: dict[int, list[torch.Tensor]] = {}
    for chunk in cf_vectors.split(_CHUNK):
        for width, matrix in tuner.evaluated_matrices(chunk).items():
            wide = matrix.double()
            grams.setdefault(width, []).append(wide.mT @ wide)
    gram_of = {width: torch.cat(parts) for width, parts in grams.items()}
    found = []
    for layer in tuner.adapted_layers():
        if adapter_name not in layer.cora_projection:
            continue
        projection = layer.cora_projection[adapter_name]
        assert isinstance(projection, Projection)
        p = projection.weight.double()
        gram = gram_of[layer.in_features]
        squares = ((p.mT @ p).to(gram.device) * gram).sum(dim=(1, 2))
        # Rounding may leave the square of a zero below zero.
        mean = config.scale * squares.clamp(min=0).sqrt().mean()
        found.append(IncrementNorm(layer.name, float(mean), _frozen_norm(layer, projection)))
    return found


def _frozen_norm(layer: CoraLayer, projection: Projection) -> float | None:
    base = layer.get_base_layer()
    weight = layer.frozen_weight
    if weight is None:
        weight = base._parameters.get("weight")
    if not is_plain(weight):
        return None
    assert weight is not None
    data = weight.detach()
    if projection.rows is not None:
        data = data.index_select(1 if isinstance(base, Conv1D) else 0, projection.rows)
    return float(torch.linalg.vector_norm(data, dtype=torch.float32))
