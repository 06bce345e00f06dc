"""The tuner: turns a causal language model into one with collaborative perception."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn

from corarec.adapter.binding import Binding, Increment
from corarec.adapter.checkpointing import carry_through_checkpoints
from corarec.adapter.config import CoraConfig
from corarec.adapter.generator import CollaborativeQueryGenerator
from corarec.adapter.inputs import as_mask, refuse_names
from corarec.adapter.layer import CoraLayer
from corarec.adapter.loading import check_weights_fit
from corarec.adapter.pair_tuner import PairTuner
from corarec.adapter.reach import check_reached
from corarec.adapter.targets import Target, find_targets
from corarec.errors import ConfigError, DataError


class CoraModel(PairTuner):
    """CoRA on a backbone; made by `peft.get_peft_model(model, CoraConfig(...))`.

    Forward and `generate` take one keyword more than the backbone: `cf_vectors: [B, 2d]`, the CF
    vectors of the row's user and item; an unknown user or item has zeros in its half. Forward also
    takes `cf_active: [B, T]` bool: the increment then acts on these tokens only. With the adapter
    disabled both are ignored and the backbone is the frozen one, bit for bit.

    There is one generator per adapter. It lives here and not in the layers, which share its `A`;
    and one adapter is active at a time.

    Threads may share the model for scoring: `cf_vectors` and `disable_adapter` (or
    `disable_adapter_layers`) hold for the thread that they are used in. Which adapter is active,
    and a merged pair, hold for all.
    """

    prefix = "cora_"
    tuner_layer_cls = CoraLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 - the base class declares it so
    uses_shared_state = True

    # Making, switching and deleting adapters

    def _pre_injection_hook(self, model: nn.Module, config: CoraConfig, adapter_name: str) -> None:
        self.binding = Binding()
        self.cora_generator = nn.ModuleDict()
        # Which adapter was seen to reach its layers, in training and in evaluation.
        self._reached: set[tuple[str, bool]] = set()

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Adapt the layers that the adapter's config names, and make its generator.

        PEFT's own version finds layers by the end of their names, which confuses GPT-2's two
        `c_proj`; this one uses the table of `corarec.adapter.targets`. `state_dict` is not needed.

        Raises
        ------
        ConfigError
            A role or a layer cannot be adapted; the model is as it was.
        """
        config: CoraConfig = self.peft_config[adapter_name]
        assert config.target_modules is not None
        targets = find_targets(
            model, config.target_modules, config.layers, config.layers_to_transform
        )
        if any(layer.binding is not self.binding for layer in self.adapted_layers()):
            raise ConfigError(
                "This model carries a CoRA adapter already. Put a second one beside it with "
                "`add_adapter(name, config)`, or take the first one off with `unload()`."
            )
        self._reached = {seen for seen in self._reached if seen[0] != adapter_name}
        is_first = not self.cora_generator
        with init_empty_weights() if low_cpu_mem_usage else nullcontext():
            for target in targets:
                self._adapt(target, adapter_name, config)
            generator = self._new_generator(config, {target.in_features for target in targets})
        self.cora_generator[adapter_name] = generator
        self._move_adapter_to_device_of_base_layer(adapter_name)
        if is_first:
            self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)
            self._mark_only_adapters_as_trainable(model)
        else:
            self.set_requires_grad(adapter_name, False)

    def _adapt(self, target: Target, adapter_name: str, config: CoraConfig) -> None:
        layer = self.model.get_submodule(target.name)
        if not isinstance(layer, CoraLayer):
            layer = CoraLayer(layer, target, self.binding)
            layer.train(self.training)
            layer.set_adapter(self.active_adapters)
            for name in target.names:
                self.model.set_submodule(name, layer)
            self.targeted_module_names += target.names
        layer.add_adapter(adapter_name, config.r, target)

    @staticmethod
    def _new_generator(config: CoraConfig, widths: set[int]) -> CollaborativeQueryGenerator:
        assert config.generator is not None
        rng = torch.Generator().manual_seed(config.seed)
        return CollaborativeQueryGenerator(config.generator, config.r, widths, rng)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str) -> None:
        # PEFT also calls this, by its name, once the weights of an adapter made on meta are loaded.
        generator = self.cora_generator[adapter_name]
        if not any(parameter.is_meta for parameter in generator.parameters()):
            generator.to(self.adapted_layers()[0].weight.device)

    def _create_and_replace(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("CoraModel.inject_adapter adapts the layers itself.")

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Make one adapter the active one.

        Raises
        ------
        ConfigError
            More than one is named.
        """
        if not isinstance(adapter_name, str) and len(adapter_name) > 1:
            raise ConfigError(
                f"Only one CoRA adapter can be active at a time, not {adapter_name}: each has a "
                "generator of its own for the same CF vectors."
            )
        super().set_adapter(adapter_name, inference_mode=inference_mode)
        self._train_generators_with_layers()

    def set_requires_grad(self, adapter_names: Any, requires_grad: bool = True) -> None:
        """Train the named adapters, or freeze them."""
        super().set_requires_grad(adapter_names, requires_grad)
        self._train_generators_with_layers()

    def delete_adapter(self, adapter_name: str) -> None:
        """Remove an adapter with its generator."""
        was_active = adapter_name in self.active_adapters
        super().delete_adapter(adapter_name)
        del self.cora_generator[adapter_name]
        if was_active:
            # Each layer has turned to the next adapter that it knows, and not all know the same.
            self.set_adapter(list(self.peft_config)[:1])

    def _enable_adapter_layers(self, enabled: bool = True) -> None:
        # Not a flag of every layer, and no gradient flag either: another thread may be using them.
        self.binding.enabled = enabled

    def _train_generators_with_layers(self) -> None:
        trained = {
            adapter_name
            for layer in self.adapted_layers()
            for adapter_name, projection in layer.cora_projection.items()
            if any(parameter.requires_grad for parameter in projection.parameters())
        }
        for adapter_name, generator in self.cora_generator.items():
            generator.requires_grad_(adapter_name in trained)

    # Running

    def forward(
        self,
        *args: Any,
        cf_vectors: torch.Tensor | None = None,
        cf_active: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the backbone with the increments of the pairs in `cf_vectors: [B, 2d]`.

        Parameters
        ----------
        cf_vectors
            User vector, then item vector of each row of the batch.
        cf_active
            `[B, T]` bool, the tokens on which the increment acts; None for all.
        *args, **kwargs
            Go to the backbone (`input_ids`, `attention_mask`, `logits_to_keep`, ...).

        Raises
        ------
        DataError
            The adapter is on and the vectors are missing, or their shape is wrong.
        """
        refuse_names(kwargs)
        if self.training:
            carry_through_checkpoints(self.model, self.binding)
        increment = self._increment(cf_vectors, active=as_mask(cf_active))
        with self.binding.scope(increment):
            output = self.model(*args, **kwargs)
        self._check_reached(increment)
        return output

    @torch.no_grad()
    def generate(self, *args: Any, cf_vectors: torch.Tensor | None = None, **kwargs: Any) -> Any:
        """Generate text; `A` is made once, and repeated for the beams of each row.

        Raises
        ------
        DataError
            The adapter is on and the vectors are missing, or their shape is wrong.
        """
        if kwargs.pop("cf_active", None) is not None:
            raise DataError("`cf_active` is for forward only: leave it out of `generate`.")
        refuse_names(kwargs)
        named = (kwargs.get(name) for name in ("inputs", "input_ids", "inputs_embeds"))
        prompts = next((value for value in (*args[:1], *named) if value is not None), None)
        rows = None if prompts is None else len(prompts)
        increment = self._increment(cf_vectors, repeats=True, rows=rows)
        with self.binding.scope(increment):
            output = self.model.generate(*args, **kwargs)
        self._check_reached(increment)
        return output

    @contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        # PEFT takes these keywords out before they reach `forward`.
        refuse_names(kwargs)
        yield

    def _replicate_for_data_parallel(self) -> Any:
        if not self.binding.enabled:
            raise ConfigError(
                "The adapter is disabled in this thread, and torch.nn.DataParallel runs the model "
                "in others, where it would act. Use the model without DataParallel here, or "
                "DistributedDataParallel."
            )
        return super()._replicate_for_data_parallel()

    def _increment(
        self,
        cf_vectors: torch.Tensor | None,
        active: torch.Tensor | None = None,
        repeats: bool = False,
        rows: int | None = None,
    ) -> Increment | None:
        """Return what the layers need to know of `cf_vectors`."""
        if cf_vectors is None or not self.binding.enabled or not self.active_adapters:
            # Nothing is bound: layers that are on will ask for the vectors.
            return None
        if any(layer.merged for layer in self.adapted_layers()):
            raise DataError(
                "The increment of one pair is merged into the weights, so `cf_vectors` of other "
                "pairs cannot be applied. Call `unmerge_adapter()` first."
            )
        matrices = self._matrices_of_each(cf_vectors)
        if rows is not None and rows != len(cf_vectors):
            raise DataError(
                f"`cf_vectors` has {len(cf_vectors)} rows, but there are {rows} prompts. "
                "Give one row of CF vectors for each prompt; beams are looked after."
            )
        config: CoraConfig = self.peft_config[self.active_adapters[0]]
        return Increment(matrices, config.scale, config.dropout, active, repeats)

    def _check_reached(self, increment: Increment | None) -> None:
        """Look, after the first pass, for layers that the increment did not reach."""
        if increment is None or torch.compiler.is_compiling():
            return
        adapter_name = self.active_adapters[0]
        if (adapter_name, self.training) in self._reached:
            return
        names = [
            layer.name for layer in self.adapted_layers() if adapter_name in layer.cora_projection
        ]
        check_reached(self.model, names, increment)
        self._reached.add((adapter_name, self.training))

    # Saving, loading

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        # PEFT expects the name next to the end of a key; in the generator's it is further up.
        head, found, tail = key.partition(f"cora_generator.{adapter_name}.")
        if found:
            return f"{head}cora_generator.{tail}"
        return str(super()._remove_adapter_name_from_key(key, adapter_name))

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls,
        model: nn.Module,
        config: CoraConfig,
        adapter_name: str,
        state_dict: dict[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        loaded: dict[str, torch.Tensor] = super()._remap_adapter_state_dict_for_load(
            model, config, adapter_name, state_dict
        )
        own = (f".cora_generator.{adapter_name}.", f".cora_projection.{adapter_name}.")
        wanted = {
            key: weight
            for key, weight in model.state_dict().items()
            if any(part in key for part in own)
        }
        check_weights_fit(wanted, loaded, config.base_model_name_or_path or "its config names none")
        return loaded
