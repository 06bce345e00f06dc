"""CoRA as a PEFT method: weights generated from CF vectors for a frozen language model.

Importing this package is enough for PEFT to know CoRA:

>>> from peft import get_peft_model
>>> from corarec.adapter import CoraConfig, GeneratorConfig
>>> config = CoraConfig(generator=GeneratorConfig.preset("fit", vector_size=64))
>>> model = get_peft_model(backbone, config)  # doctest: +SKIP
>>> model(input_ids, attention_mask, cf_vectors=vectors, logits_to_keep=1)  # doctest: +SKIP
"""

from corarec.adapter.architectures import ROLES, LayerPattern, Role
from corarec.adapter.config import CoraConfig
from corarec.adapter.export import export_lora
from corarec.adapter.generator import CollaborativeQueryGenerator, GeneratorConfig
from corarec.adapter.holding import held_pair
from corarec.adapter.model import CoraModel
from corarec.adapter.norms import IncrementNorm, increment_norms
from corarec.adapter.register import register

__all__ = [
    "ROLES",
    "CollaborativeQueryGenerator",
    "CoraConfig",
    "CoraModel",
    "GeneratorConfig",
    "IncrementNorm",
    "LayerPattern",
    "Role",
    "export_lora",
    "held_pair",
    "increment_norms",
]

register()
