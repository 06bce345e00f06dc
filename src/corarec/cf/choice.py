"""`CFChoice`: which CF model, with which options."""

from typing import Any, Self

from pydantic import Field, model_validator

from corarec.cf.base import CFModel
from corarec.data.history import KnowledgePolicy
from corarec.errors import ConfigError, did_you_mean
from corarec.types import Config


class CFChoice(Config):
    """A CF model by name, not yet fitted."""

    model: str
    """Registry name: mf, mf-b, binary-mf, lightgcn, sasrec, rates, als, content, statistics,
    popularity, ease, item-knn, imported or fused."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that model; see its config."""

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        self.build()
        return self

    def check_policy(self, policy: KnowledgePolicy) -> None:
        """See that the model can honour a knowledge policy.

        Raises
        ------
        ValueError
            It cannot; the message says which it can.
        """
        try:
            self.build().check_policy(policy)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def build(self) -> CFModel:
        """Return the model, not yet fitted."""
        # The registry lists the fused model, whose components are such choices.
        from corarec.cf.registry import CF_MODELS

        if self.model not in CF_MODELS:
            hint = did_you_mean(self.model, CF_MODELS)
            raise ValueError(
                f"no CF model '{self.model}'; choose from {', '.join(CF_MODELS)}. {hint}".rstrip()
            )
        kind = CF_MODELS[self.model]
        return kind(kind.config_class.model_validate(self.options))
