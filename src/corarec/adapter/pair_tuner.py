"""The increments of pairs: generated, and merged into the weights."""

from collections import Counter
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from corarec.adapter.generator import CollaborativeQueryGenerator
from corarec.adapter.inputs import check_vectors
from corarec.adapter.layer import CoraLayer
from corarec.errors import ConfigError, DataError


class PairTuner(BaseTuner):
    """What CoRA's tuner does with the vectors of pairs; the base of `CoraModel`."""

    cora_generator: nn.ModuleDict
    """by adapter, its generator"""

    def adapted_layers(self) -> list[CoraLayer]:
        """Return the layers that an adapter is on, in the order of the model, each once."""
        return [module for module in self.model.modules() if isinstance(module, CoraLayer)]

    def matrices(self, cf_vectors: torch.Tensor) -> dict[int, torch.Tensor]:
        """Generate the active adapter's `A` for `cf_vectors: [B, 2d]`.

        Returns
        -------
        dict
            Input width of a layer -> `A: [B, width, r]`.

        Raises
        ------
        DataError
            The shape or type of `cf_vectors` is wrong.
        """
        generator = self.cora_generator[self.active_adapters[0]]
        assert isinstance(generator, CollaborativeQueryGenerator)
        check_vectors(cf_vectors, generator.config.vector_size)
        matrices: dict[int, torch.Tensor] = generator(cf_vectors)
        return matrices

    def _matrices_of_each(self, cf_vectors: torch.Tensor) -> dict[int, torch.Tensor]:
        """As `matrices`; in evaluation pairs that come more than once are generated once."""
        plain = not isinstance(cf_vectors, torch.Tensor) or cf_vectors.dim() != 2
        if self.training or torch.is_grad_enabled() or plain:
            return self.matrices(cf_vectors)
        pairs, places = torch.unique(cf_vectors, dim=0, return_inverse=True)
        if len(pairs) == len(cf_vectors):
            return self.matrices(cf_vectors)
        return {width: matrix[places] for width, matrix in self.matrices(pairs).items()}

    @torch.no_grad()
    def pair_matrices(self, cf_vectors: torch.Tensor) -> dict[int, torch.Tensor]:
        """Generate the active adapter's `A` for one pair, `cf_vectors: [2d]`, as in evaluation.

        Returns
        -------
        dict
            Input width of a layer -> `A: [width, r]`.

        Raises
        ------
        DataError
            The shape or type of `cf_vectors` is wrong.
        """
        matrices = self.evaluated_matrices(cf_vectors.view(1, -1))
        return {width: matrix[0] for width, matrix in matrices.items()}

    @torch.no_grad()
    def evaluated_matrices(self, cf_vectors: torch.Tensor) -> dict[int, torch.Tensor]:
        """As `matrices`, as in evaluation whatever the mode: without dropout and gradients."""
        generator = self.cora_generator[self.active_adapters[0]]
        was_training = generator.training
        generator.eval()
        try:
            return self.matrices(cf_vectors)
        finally:
            generator.train(was_training)

    @torch.no_grad()
    def merge_pair(self, cf_vectors: torch.Tensor) -> None:
        """Merge the increment of one pair, `cf_vectors: [2d]`, into the weights.

        The model then needs no `cf_vectors` and scores that pair's prompts like the adapter does
        (paper, Eq. 4 and 5). `unmerge_adapter()` puts the frozen weights back bit for bit;
        `unload()` instead leaves a plain model of Transformers with the merged weights.

        Raises
        ------
        DataError
            The shape of `cf_vectors` is wrong, or a pair is merged already.
        ConfigError
            A weight is quantised.
        """
        if any(layer.merged for layer in self.adapted_layers()):
            raise DataError("A pair is merged already. Call `unmerge_adapter()` first.")
        adapter_name = self.active_adapters[0]
        scale = self.peft_config[adapter_name].scale
        matrices = self.pair_matrices(cf_vectors)
        try:
            for layer in self.adapted_layers():
                layer.merge_matrix(adapter_name, scale * matrices[layer.in_features])
        except BaseException:
            # Whatever stopped it, memory or a key, leaves no half of a pair.
            self.unmerge_adapter()
            raise

    def _unload_and_optionally_merge(self, *args: Any, **kwargs: Any) -> nn.Module:
        if tied := self._merged_ties():
            raise ConfigError(
                f"The weight of {tied[0]} is one with that of another layer, and the merged pair "
                "has made two of them, which the plain model could not be saved with. Call "
                "`unmerge_adapter()` first, or keep the adapter on."
            )
        layers = self.adapted_layers()
        model: nn.Module = super()._unload_and_optionally_merge(*args, **kwargs)
        # PEFT takes a layer off under the first of its names only.
        for parent in list(model.modules()):
            for name, child in parent._modules.items():
                if child in layers:
                    setattr(parent, name, child.base_layer)
        return model

    def _merged_ties(self) -> list[str]:
        """Return the merged layers whose frozen weight stands elsewhere, too."""
        merged = [(layer, layer.frozen_weight) for layer in self.adapted_layers() if layer.merged]
        holders = Counter(id(frozen) for _, frozen in merged)
        holders.update({id(parameter) for parameter in self.model.parameters()})
        return [layer.name for layer, frozen in merged if holders[id(frozen)] > 1]
