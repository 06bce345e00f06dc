import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from corarec.adapter.binding import Binding, Increment
from corarec.adapter.layer import CoraLayer, Projection
from corarec.adapter.targets import Target
from corarec.errors import ConfigError, DataError

X = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])  # [B=1, T=2, width=2]
A = torch.tensor([[[1.0], [-1.0]]])  # [B=1, width=2, r=1]; X A = -1 at both tokens
INCREMENT = Increment({2: A}, scale=10.0)


def _linear() -> nn.Linear:
    linear = nn.Linear(2, 3)
    linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    linear.bias.data = torch.tensor([0.5, 0.0, 0.0])
    return linear


def _conv1d() -> Conv1D:
    conv = Conv1D(3, 2)
    conv.weight.data = _linear().weight.data.T.clone()
    conv.bias.data = _linear().bias.data
    return conv


def _layer(base: nn.Module, rows: list[int] | None = None) -> CoraLayer:
    target = Target(("block.q",), 2, 3, None if rows is None else torch.tensor(rows))
    layer = CoraLayer(base, target, Binding())
    layer.add_adapter("default", 1, target)
    layer.set_adapter("default")
    return layer.eval()


def _fill(layer: CoraLayer, values: list[float]) -> None:
    projection = layer.cora_projection["default"]
    assert isinstance(projection, Projection)
    projection.weight.data = torch.tensor(values).unsqueeze(1)


@pytest.mark.parametrize("base", [_linear(), _conv1d()])
def test_adds_the_increment_of_the_pair(base: nn.Module) -> None:
    layer = _layer(base)
    _fill(layer, [1.0, 2.0, 0.0])
    with layer.binding.scope(INCREMENT):
        y = layer(X)
    # W x + b - 10 P
    assert y.tolist() == [[[1.5 - 10, 2.0 - 20, 3.0], [3.5 - 10, 4.0 - 20, 7.0]]]


def test_starts_as_the_frozen_layer() -> None:
    layer = _layer(_linear())
    with layer.binding.scope(INCREMENT):
        assert torch.equal(layer(X), _linear()(X))


def test_chosen_rows_only() -> None:
    layer = _layer(_linear(), rows=[0, 2])
    _fill(layer, [1.0, 2.0])
    with layer.binding.scope(INCREMENT):
        difference = layer(X) - _linear()(X)
    assert difference.tolist() == [[[-10.0, 0.0, -20.0]] * 2]


def test_disabled_or_without_an_adapter_needs_no_vectors() -> None:
    layer = _layer(_linear())
    _fill(layer, [1.0, 1.0, 1.0])
    with pytest.raises(DataError, match="cf_vectors"):
        layer(X)
    layer.enable_adapters(False)
    assert torch.equal(layer(X), _linear()(X))
    layer.enable_adapters(True)
    layer.set_adapter("other")
    assert torch.equal(layer(X), _linear()(X))


@pytest.mark.parametrize("base", [_linear(), _conv1d()])
@pytest.mark.parametrize("rows", [None, [0, 2]])
def test_merged_layer_acts_like_the_adapter(base: nn.Module, rows: list[int] | None) -> None:
    layer = _layer(base, rows)
    _fill(layer, [1.0, 2.0, 3.0][: 3 if rows is None else 2])
    frozen = layer.weight.detach().clone()
    with layer.binding.scope(INCREMENT):
        adapted = layer(X)
    layer.merge_matrix("default", 10.0 * A[0])
    torch.testing.assert_close(layer(X), adapted)
    layer.unmerge()
    assert torch.equal(layer.weight, frozen)


def test_merging_keeps_the_precision_of_the_weight() -> None:
    layer = _layer(_linear().double())
    _fill(layer, [1.0, 0.0, 0.0])
    layer.weight.data[0, 0] = 1 + 1e-12
    layer.merge_matrix("default", 0.0 * A[0].double())
    assert layer.weight[0, 0].item() == 1 + 1e-12


def test_disabling_takes_the_merged_increment_out() -> None:
    layer = _layer(_linear())
    _fill(layer, [1.0, 2.0, 3.0])
    layer.merge_matrix("default", A[0])
    layer.enable_adapters(False)
    assert torch.equal(layer(X), _linear()(X))
    layer.enable_adapters(True)
    assert layer.merged
    assert not torch.equal(layer(X), _linear()(X))


class _QuantizedLinear(nn.Module):
    """Stands for a layer of a quantisation library: callable, with packed integers inside."""

    def __init__(self) -> None:
        super().__init__()
        self.in_features, self.out_features = 2, 3
        self.weight = nn.Parameter(torch.zeros(3, dtype=torch.uint8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = _linear()(x)
        return y


def test_quantized_layer_is_adapted_but_not_merged() -> None:
    layer = _layer(_QuantizedLinear())
    _fill(layer, [1.0, 2.0, 0.0])
    assert layer.cora_projection["default"].weight.dtype == torch.float32
    with layer.binding.scope(INCREMENT):
        assert layer(X)[0, 0].tolist() == [1.5 - 10, 2.0 - 20, 3.0]
    with pytest.raises(ConfigError, match=r"block\.q is a _QuantizedLinear .*no increment"):
        layer.merge_matrix("default", A[0])


def test_merge_without_a_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match="merge_pair"):
        _layer(_linear()).merge()


def test_half_precision_layer_keeps_its_type() -> None:
    layer = _layer(_linear().bfloat16())
    _fill(layer, [1.0, 2.0, 0.0])
    with layer.binding.scope(INCREMENT):
        y = layer(X.bfloat16())
    assert y.dtype == torch.bfloat16
    assert y[0, 0].tolist() == [-8.5, -18.0, 3.0]


def test_shared_weight_is_merged_for_one_layer_only() -> None:
    first, second = _linear(), _linear()
    second.weight = first.weight
    embedding = nn.Embedding(3, 2, _weight=first.weight)
    embedding.weight = first.weight
    frozen = first.weight
    before = frozen.detach().clone()
    layers = [_layer(first), _layer(second)]
    for layer, value in zip(layers, [1.0, 2.0], strict=True):
        _fill(layer, [value] * 3)
        layer.merge_matrix("default", A[0])
    for layer, value in zip(layers, [1.0, 2.0], strict=True):
        torch.testing.assert_close(layer.weight, before + value * A[0].T)
    assert torch.equal(embedding.weight, before)
    for layer in layers:
        layer.unmerge()
    assert first.weight is second.weight is embedding.weight is frozen
    assert torch.equal(frozen, before)


def test_weight_comes_back_where_the_model_was_moved() -> None:
    layer = _layer(_linear())
    layer.merge_matrix("default", A[0])
    assert [name for name, _ in layer.named_parameters() if "frozen" in name] == []
    layer.double()
    layer.unmerge()
    assert layer.weight.dtype == torch.float64


def test_weight_that_is_not_in_memory_is_not_merged() -> None:
    layer = _layer(_linear().to("meta"))
    with pytest.raises(ConfigError, match="offloading"):
        layer.merge_matrix("default", A[0])
