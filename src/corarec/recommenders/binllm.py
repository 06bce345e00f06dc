"""BinLLM (arXiv 2406.03210): CF vectors as bits, and the bits as text."""

from typing import ClassVar, Literal, Self

from corarec.cf.factors.binary_mf import BinaryMF
from corarec.errors import ConfigError
from corarec.prompts import TextSlot
from corarec.recommenders.features import FEATURES, ITEM, USER, FeaturePrompt
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import PromptRecommender, PromptSystem
from corarec.recommenders.lora import LoraSystem, with_lora
from corarec.types import Pairs

BITS_PER_PART = 8


class BinLLMSystem(LoraSystem):
    """BinLLM as one row of the benchmark.

    The paper tunes the LoRA on the plain text prompt first and trains it on with the codes then;
    write that as `train.phases`. Users and items that never occur in training share one code.
    """

    added_slots: ClassVar[frozenset[str]] = FEATURES

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("lora",)

    name: Literal["binllm"] = "binllm"
    prompt: FeaturePrompt = FeaturePrompt()
    """How a pair becomes text."""
    form: Literal["bits", "dotted"] = "bits"
    """How a code is written: `bits` as 0 and 1, `dotted` in decimal like an IPv4 address, eight
    bits a part, the first of them the most significant."""


class BinLLMRecommender(PromptRecommender):
    """LoRA on a language model that reads the codes of user and item in its text."""

    config_class: ClassVar[type[PromptSystem]] = BinLLMSystem
    needs_cf: ClassVar[bool] = True

    @classmethod
    def build(cls, config: BinLLMSystem, ingredients: Ingredients) -> Self:
        """Put a LoRA on the model and codes into its prompt."""
        backbone, cf = ingredients.backbone, ingredients.cf
        if cf is None or not isinstance(cf.model, BinaryMF):
            came = "no CF model" if cf is None else f"'{cf.name}'"
            raise ConfigError(
                f"BinLLM writes the codes of a 'binary-mf' CF model, but {came} came. Set cf.model "
                "to binary-mf."
            )

        def texts(half: int, pairs: Pairs) -> list[str]:
            model = cf.model_for(pairs)
            assert isinstance(model, BinaryMF)
            codes = model.codes(pairs.for_cf)[half]
            return [code_text(code, config.form) for code in codes.tolist()]

        slots = {
            USER: TextSlot(lambda pairs: texts(0, pairs)),
            ITEM: TextSlot(lambda pairs: texts(1, pairs)),
        }
        encoder = ingredients.encoder(config.prompt, slots)
        return cls(with_lora(backbone.model, config), backbone, encoder, config.answer)


def code_text(code: list[float], form: Literal["bits", "dotted"]) -> str:
    """Write a code of +1 (a bit of 1) and -1 (a bit of 0).

    Dotted decimal takes eight bits a part, the first the most significant, without leading zeros;
    a last part may have fewer.
    """
    bits = "".join("1" if number > 0 else "0" for number in code)
    if form == "bits":
        return bits
    parts = [bits[first : first + BITS_PER_PART] for first in range(0, len(bits), BITS_PER_PART)]
    return ".".join(str(int(part, 2)) for part in parts)
