"""Several CF models as one: their vectors side by side."""

from copy import copy
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Discriminator, Tag, field_validator
from sklearn.linear_model import LogisticRegression

from corarec.cf.base import CFModel, check_knowledge, not_fitted
from corarec.cf.choice import CFChoice
from corarec.cf.data import FitData
from corarec.cf.feedback import TAKES, Feedback, Takes
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.vectors import VectorFamily, VectorTable, inverse_rms
from corarec.types import Config, FloatArray, IntArray, Pairs


def _component_kind(value: Any) -> str:
    return "to fit" if isinstance(value, dict | CFChoice) else "fitted"


# Told apart before validation, so that an error is about the one that was meant.
Component = Annotated[
    Annotated[Path, Tag("fitted")] | Annotated[CFChoice, Tag("to fit")],
    Discriminator(_component_kind),
]


class FusedConfig(Config):
    """Several CF models side by side."""

    components: tuple[Component, ...]
    """Folders of fitted CF models, or models to fit along the way (`{model: rates}`), in the order
    in which their vectors are joined; two at least."""

    @field_validator("components")
    @classmethod
    def _several(cls, components: tuple[Component, ...]) -> tuple[Component, ...]:
        if len(components) < 2:
            raise ValueError(f"{len(components)} came, wanted are at least two models to join")
        return components


class Fused(CFModel):
    """The concatenated vectors of several CF models: `d` is the sum of theirs.

    The components carry different signals (say item rates and LightGCN) on scales that differ by
    orders of magnitude; so each half of each is divided by the root mean square of its numbers over
    the training pairs, one number for the half. Their frozen scores are joined by a logistic
    regression fitted on the validation rows, the only labels that none of them was trained on; the
    validation AUC in the report is therefore that of a fit of one weight per component and an
    intercept, and slightly flattering. A saved model contains its components.
    """

    name: ClassVar[str] = "fused"
    config_class: ClassVar[type[Config]] = FusedConfig

    def __init__(self, config: FusedConfig) -> None:
        super().__init__(config)
        self._options = config
        self._components: list[CFModel] = []
        self._weights = torch.zeros(0, dtype=torch.float64)
        self._scales = torch.zeros(0)

    @property
    def vector_size(self) -> int:
        """The sum of the components' sizes."""
        return sum(component.vector_size for component in self._fitted())

    @property
    def policies(self) -> tuple[str, ...]:
        """Those that all components can honour; a fitted one has the one of its fit."""
        of_components = [_policies(choice) for choice in self._options.components]
        return tuple(name for name in of_components[0] if all(name in of for of in of_components))

    @property
    def match_size(self) -> int:
        """The sum of the components' sizes."""
        return sum(component.match_size for component in self._fitted())

    @property
    def families(self) -> tuple[VectorFamily, ...]:
        """Its components."""
        families, half, match = [], 0, 0
        for number, component in enumerate(self._fitted()):
            places = tuple(range(half, half + component.vector_size))
            matches = tuple(range(match, match + component.match_size))
            name = f"{component.name} {number + 1}"
            families.append(VectorFamily(name, places, places, matches))
            half, match = half + component.vector_size, match + component.match_size
        return tuple(families)

    @property
    def takes(self) -> Takes:
        """What its components take; one that cannot stays as it was fitted."""
        taken = {component.takes for component in self._fitted()}
        return next((way for way in TAKES if way in taken), "nothing")

    def knowing(self, feedback: Feedback) -> "Fused":
        """Return this model with every component that takes rows knowing them."""
        if self.takes != "rows":
            super().knowing(feedback)
        model = copy(self)
        model._components = [
            component.knowing(feedback) if component.takes == "rows" else component
            for component in self._fitted()
        ]
        return model

    def extended(self, feedback: Feedback, num_items: int) -> "Fused":
        """Return this model with every component extended that can be."""
        if self.takes == "nothing":
            super().knowing(feedback)
        model = copy(self)
        model._components = [
            component if component.takes == "nothing" else component.extended(feedback, num_items)
            for component in self._fitted()
        ]
        return model

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Load or fit the components, and fit how their scores join."""
        self._components = [
            _component(choice, data, seed, _beside(checkpoint, number), on_epoch)
            for number, choice in enumerate(self._options.components)
        ]
        tables = [component.vector_table(data.train) for component in self._components]
        self._scales = torch.stack(
            [torch.stack([inverse_rms(table.users), inverse_rms(table.items)]) for table in tables]
        )
        regression = LogisticRegression().fit(self._component_scores(data.valid), data.valid_labels)
        self._weights = torch.from_numpy(np.append(regression.coef_[0], regression.intercept_))
        return FitCourse()

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the concatenated vectors of every pair, each distinct combination once."""
        tables = [component.vector_table(pairs) for component in self._fitted()]
        user_scales, item_scales = self._scales.T
        users, user_rows = _join([(table.users, table.user_rows) for table in tables], user_scales)
        items, item_rows = _join([(table.items, table.item_rows) for table in tables], item_scales)
        matches = [table.matches for table in tables if table.matches is not None]
        joined = torch.cat(matches, dim=1) if matches else None
        return VectorTable(users, items, user_rows, item_rows, joined)

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the logistic regression's logit of the components' scores: [N]."""
        weights = self._weights.numpy()
        logits: FloatArray = self._component_scores(pairs) @ weights[:-1] + weights[-1]
        return logits

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the scales of users and items, [C, 2], and the weights and intercept, [C + 1]."""
        self._fitted()
        return {"scales": self._scales, "weights": self._weights}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over scales and weights; the components are read before."""
        for key, shape in (
            ("scales", (len(self._components), 2)),
            ("weights", (len(self._components) + 1,)),
        ):
            if tensors[key].shape != shape:
                raise ValueError(f"'{key}' has shape {tuple(tensors[key].shape)}, not {shape}")
        self._scales, self._weights = tensors["scales"], tensors["weights"]

    def write(self, directory: Path) -> None:
        """Write every component to its own folder, and the weights."""
        super().write(directory)
        for number, component in enumerate(self._fitted()):
            component.save(directory / f"component-{number}")

    def read(self, directory: Path) -> None:
        """Read every component, then the weights."""
        from corarec.cf.registry import load_cf

        self._components = [
            load_cf(directory / f"component-{number}")
            for number in range(len(self._options.components))
        ]
        super().read(directory)

    def _component_scores(self, pairs: Pairs) -> FloatArray:
        return np.stack([component.score(pairs) for component in self._fitted()], axis=1)

    def _fitted(self) -> list[CFModel]:
        if not self._components:
            raise not_fitted(self)
        return self._components


def _policies(choice: Path | CFChoice) -> tuple[str, ...]:
    from corarec.cf.registry import load_cf

    if isinstance(choice, CFChoice):
        return choice.build().policies
    report = load_cf(choice).report
    return ("train" if report is None else report.knowledge.policy,)


def _component(
    choice: Path | CFChoice,
    data: FitData,
    seed: int,
    checkpoint: Path | None,
    on_epoch: OnEpoch | None,
) -> CFModel:
    # The registry lists the fused model, so it can only be asked once that is there.
    from corarec.cf.registry import load_cf

    if isinstance(choice, Path):
        fitted = load_cf(choice, data.fingerprint)
        check_knowledge(fitted, choice, data.policy)
        return fitted
    component = choice.build()
    component.fit(data, seed, checkpoint, on_epoch)
    component.dataset = data.fingerprint
    return component


def _beside(checkpoint: Path | None, number: int) -> Path | None:
    return None if checkpoint is None else checkpoint.with_suffix(f".{number}.pt")


def _join(
    halves: list[tuple[torch.Tensor, IntArray]], scales: torch.Tensor
) -> tuple[torch.Tensor, IntArray]:
    """Concatenate tables row by row as the pairs combine them, each times its scale."""
    combinations, rows = np.unique(
        np.stack([rows for _, rows in halves], axis=1), axis=0, return_inverse=True
    )
    vectors = [
        table[torch.from_numpy(places)] * scale
        for (table, _), places, scale in zip(halves, combinations.T, scales, strict=True)
    ]
    return torch.cat(vectors, dim=1), rows.reshape(-1)
