"""The settings of a CoRA adapter, as they are written to `adapter_config.json`."""

from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any

from peft import PeftConfig, TaskType
from pydantic import (
    BeforeValidator,
    FiniteFloat,
    NonNegativeInt,
    StrictInt,
    TypeAdapter,
    ValidationError,
)

from corarec.adapter.architectures import ROLES, LayerPattern, Role
from corarec.adapter.generator import GeneratorConfig
from corarec.errors import ConfigError

PEFT_TYPE = "CORA"
DEFAULT_ROLES: tuple[Role, ...] = ("q", "k", "v", "o")


def _as_role(name: Any) -> Any:
    return name.removesuffix("_proj") if isinstance(name, str) else name


RoleName = Annotated[Role, BeforeValidator(_as_role)]
"""A role; the name that most architectures give its layer (`q_proj`) will do."""


@dataclass
class CoraConfig(PeftConfig):
    """Collaborative LoRA (arXiv 2408.10645): `y = W x + alpha / r * P (x A)`, `A` from CF vectors.

    Fields are called as in PEFT's own configs (`alpha` and `dropout` as in LoHa and LoKr). There is
    no `alora_invocation_tokens`: where late activation begins is not a sequence of tokens to look
    for but a place in each row, so it comes with the batch, as `cf_active` of `forward`.

    Raises
    ------
    ConfigError
        A value is missing or out of its bounds.
    """

    task_type: str | TaskType | None = field(default=TaskType.CAUSAL_LM)
    """PEFT's name for what the backbone does; CoRA is for this one."""
    generator: GeneratorConfig | None = field(default=None)
    """The generator of `A`; needed. A dictionary of its fields will do."""
    r: int = field(default=16)
    """The rank."""
    alpha: float = field(default=32.0)
    """The increment is multiplied by `alpha / r`."""
    target_modules: list[Role] | None = field(default=None)
    """The roles to adapt, whatever an architecture calls their layers (`q_proj` stands for `q`).
    None is q, k, v, o, best in the paper's Table 4."""
    layers_to_transform: list[int] | None = field(default=None)
    """Numbers of the blocks to adapt, from 0, or one number; None adapts all of them."""
    dropout: float = field(default=0.05)
    """On the input of the branch in training. q, k and v of a block read one input and share the
    product with `A`, so they share the mask, too."""
    layers: list[LayerPattern] | None = field(default=None)
    """Where the roles live; None finds them by the names that the layers bear."""
    seed: int = field(default=0)
    """Of the generator's initial weights; nothing else is drawn."""
    targets: InitVar[list[Role] | None] = None
    """What adapters that were saved earlier call `target_modules`."""

    def __post_init__(self, targets: list[Role] | None) -> None:
        super().__post_init__()
        self.peft_type = PEFT_TYPE
        if self.task_type != TaskType.CAUSAL_LM:
            raise ConfigError(
                f"CoRA generates weights for a causal language model, not for {self.task_type!r}: "
                f"leave `task_type` out or say {TaskType.CAUSAL_LM.value!r}."
            )
        if self.generator is None:
            raise ConfigError(
                "CoraConfig needs to know the size of the CF vectors: give it "
                "generator=GeneratorConfig.preset('fit', vector_size=...)."
            )
        self.generator = _validated(GeneratorConfig, self.generator, "generator")
        self.layers = _validated(list[LayerPattern] | None, self.layers, "layers")
        if targets is not None:
            if self.target_modules is not None:
                raise ConfigError(
                    "`targets` is the former name of `target_modules`; give the latter alone."
                )
            self.target_modules = targets
        if self.target_modules is None:
            self.target_modules = list(DEFAULT_ROLES)
        self.target_modules = _validated(list[RoleName], self.target_modules, "target_modules")
        assert self.target_modules is not None
        if not self.target_modules or len(set(self.target_modules)) < len(self.target_modules):
            raise ConfigError(
                f"`target_modules` is {self.target_modules!r}, but each role must be named once, "
                f"out of {', '.join(ROLES)}."
            )
        if isinstance(self.layers_to_transform, int):
            self.layers_to_transform = [self.layers_to_transform]
        self.layers_to_transform = _validated(
            list[NonNegativeInt] | None, self.layers_to_transform, "layers_to_transform"
        )
        blocks = self.layers_to_transform
        if blocks is not None and (not blocks or len(set(blocks)) < len(blocks)):
            raise ConfigError(
                f"`layers_to_transform` is {blocks!r}, but each block must be named once, by its "
                "number from 0 on; leave it out to adapt all of them."
            )
        for name, kind in (("r", StrictInt), ("alpha", FiniteFloat), ("dropout", FiniteFloat)):
            _validated(kind, getattr(self, name), name)
        if self.r < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ConfigError(
                f"r={self.r}, alpha={self.alpha}, dropout={self.dropout}: wanted r of 1 or more, "
                "a positive alpha and a dropout in [0, 1)."
            )

    @property
    def scale(self) -> float:
        """`alpha / r`."""
        return self.alpha / self.r

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values."""
        fields: dict[str, Any] = super().to_dict()
        assert self.generator is not None
        fields["generator"] = self.generator.model_dump()
        if self.layers is not None:
            fields["layers"] = [layer.model_dump() for layer in self.layers]
        return fields


def _validated(kind: Any, value: Any, name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"`{name}` of CoraConfig is wrong: {error}") from error
