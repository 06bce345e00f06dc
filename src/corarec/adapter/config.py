"""The settings of a CoRA adapter, as they are written to `adapter_config.json`."""

from dataclasses import dataclass, field
from typing import Any

from peft import PeftConfig, TaskType
from pydantic import TypeAdapter, ValidationError

from corarec.adapter.architectures import ROLES, LayerPattern, Role
from corarec.adapter.generator import GeneratorConfig
from corarec.errors import ConfigError

PEFT_TYPE = "CORA"


@dataclass
class CoraConfig(PeftConfig):
    """Collaborative LoRA (arXiv 2408.10645): `y = W x + alpha / r * P (x A)`, `A` from CF vectors.

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
    targets: list[Role] = field(default_factory=lambda: ["q", "k", "v", "o"])
    """The roles to adapt in every block; best in the paper's Table 4: q, k, v, o."""
    dropout: float = field(default=0.05)
    """On the input of the branch in training. q, k and v of a block read one input and share the
    product with `A`, so they share the mask, too."""
    layers: list[LayerPattern] | None = field(default=None)
    """Where the roles live; None finds them by the names that the layers bear."""
    seed: int = field(default=0)
    """Of the generator's initial weights; nothing else is drawn."""

    def __post_init__(self) -> None:
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
        self.targets = _validated(list[Role], self.targets, "targets")
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ConfigError(
                f"`targets` is {self.targets!r}, but each role must be named once, out of "
                f"{', '.join(ROLES)}."
            )
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
