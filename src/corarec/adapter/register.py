"""Makes CoRA known to PEFT; the one place that touches PEFT's private tables.

`peft.utils.register_peft_method` takes only names of PEFT's own enumeration, so the tables are
written directly, under a plain string. They are private: hence the pinned range of PEFT versions.
"""

from peft import mapping

from corarec.adapter.config import PEFT_TYPE, CoraConfig
from corarec.adapter.model import CoraModel


def register() -> None:
    """Let `get_peft_model`, `PeftModel` and `AutoPeftModelForCausalLM` find CoRA by its name."""
    mapping.PEFT_TYPE_TO_CONFIG_MAPPING[PEFT_TYPE] = CoraConfig
    mapping.PEFT_TYPE_TO_TUNER_MAPPING[PEFT_TYPE] = CoraModel
    mapping.PEFT_TYPE_TO_PREFIX_MAPPING[PEFT_TYPE] = CoraModel.prefix
