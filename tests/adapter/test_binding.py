import copy
import gc
import threading
import weakref

import pytest
import torch

from corarec.adapter.binding import Binding, Increment
from corarec.errors import ConfigError, DataError


def _increment(active: torch.Tensor | None = None, repeats: bool = False) -> Increment:
    A = torch.tensor([[[1.0], [0.0]], [[0.0], [10.0]]])  # [B=2, width=2, r=1]
    return Increment({2: A}, scale=3.0, active=active, repeats=repeats)


X = torch.tensor([[[1.0, 2.0]], [[4.0, 5.0]]])  # [B=2, T=1, width=2]


def test_each_row_meets_its_own_matrix() -> None:
    assert _increment().reduce(X, training=False).flatten().tolist() == [3.0, 150.0]


def test_beams_of_a_pair_stand_together() -> None:
    beams = X.repeat_interleave(2, dim=0)
    reduced = _increment(repeats=True).reduce(beams, training=False)
    assert reduced.flatten().tolist() == [3.0, 3.0, 150.0, 150.0]


def test_rows_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(DataError, match=r"`cf_vectors` has 2 rows.*\[4, 1, 2\]"):
        _increment().reduce(X.repeat(2, 1, 1), training=False)
    with pytest.raises(DataError, match=r"`cf_vectors` has 2 rows.*\[3, 1, 2\]"):
        _increment(repeats=True).reduce(X[[0, 1, 1]], training=False)
    with pytest.raises(ConfigError, match=r"a layer gets an input of the shape \[2, 2\]"):
        _increment().reduce(X[:, 0], training=False)


def test_inactive_tokens_get_nothing() -> None:
    x = X.repeat(1, 3, 1)
    active = torch.tensor([[False, True, True], [False, False, True]])
    reduced = _increment(active).reduce(x, training=False)[..., 0]
    assert reduced.tolist() == [[0.0, 3.0, 3.0], [0.0, 0.0, 150.0]]
    with pytest.raises(DataError, match=r"`cf_active` has the shape \[2, 3\].*2 rows of 1 tokens"):
        _increment(active).reduce(X, training=False)


def test_dropout_only_in_training() -> None:
    increment = Increment({2: torch.ones(2, 2, 1)}, scale=1.0, dropout=0.5)
    torch.manual_seed(0)
    x = torch.ones(2, 100, 2)
    assert set(increment.reduce(x, training=False).flatten().tolist()) == {2.0}
    assert set(increment.reduce(x, training=True).flatten().tolist()) == {0.0, 2.0, 4.0}


def test_works_in_the_type_of_its_input() -> None:
    reduced = _increment().reduce(X.bfloat16(), training=False)
    assert reduced.dtype == torch.bfloat16
    assert reduced.flatten().tolist() == [3.0, 150.0]


def test_nothing_bound_is_an_error_that_names_the_argument() -> None:
    binding = Binding()
    with pytest.raises(DataError, match=r"`cf_vectors`.*disable_adapter"):
        binding.reduce(X, training=False)
    with binding.scope(_increment()):
        binding.reduce(X, training=False)
    with pytest.raises(DataError, match="cf_vectors"):
        binding.reduce(X, training=False)


def test_scope_ends_with_an_error_too() -> None:
    binding = Binding()
    with pytest.raises(KeyError), binding.scope(_increment()):
        raise KeyError
    assert binding.increment is None


def test_scopes_nest_and_can_be_entered_again() -> None:
    binding, outer, inner = Binding(), _increment(), _increment()
    scope = binding.scope(inner)
    with binding.scope(outer):
        for _ in range(2):
            with scope:
                assert binding.increment is inner
            assert binding.increment is outer


def test_same_input_is_multiplied_once() -> None:
    binding = Binding()
    with binding.scope(_increment()):
        first = binding.reduce(X, training=False)
        assert binding.reduce(X, training=False) is first
        other = binding.reduce(X.clone(), training=False)
        assert other is not first
    with binding.scope(_increment()):
        assert binding.reduce(X, training=False) is not first


def test_nothing_is_kept_after_the_scope() -> None:
    binding, x = Binding(), X.clone()
    kept = weakref.ref(x)
    with binding.scope(_increment()):
        binding.reduce(x, training=False)
    del x
    gc.collect()
    assert kept() is None


def test_threads_do_not_see_each_other() -> None:
    binding = Binding()
    seen: list[Increment | None] = []
    with binding.scope(_increment()):
        thread = threading.Thread(target=lambda: seen.append(binding.increment))
        thread.start()
        thread.join()
    assert seen == [None]


def test_copy_starts_empty_and_stays_shared() -> None:
    binding = Binding()
    with binding.scope(_increment()):
        first, second = copy.deepcopy([binding, binding])
    assert first is second
    assert first is not binding
    assert first.increment is None


def test_product_made_without_gradient_is_not_used_again_with_it() -> None:
    matrix = torch.randn(2, 2, 1, requires_grad=True)
    increment = Increment({2: matrix}, scale=3.0)
    binding = Binding()
    with binding.scope(increment):
        with torch.no_grad():
            blind = binding.reduce(X, training=False)
        with torch.inference_mode():
            binding.reduce(X, training=False)
        seeing = binding.reduce(X, training=False)
    assert not blind.requires_grad
    torch.autograd.backward(seeing.sum())
    assert matrix.grad is not None
    assert matrix.grad.abs().sum() > 0


def test_product_is_not_shared_across_types_or_modes() -> None:
    binding = Binding()
    with binding.scope(Increment({2: torch.ones(2, 2, 1)}, scale=1.0, dropout=0.5)):
        with torch.autocast("cpu", torch.bfloat16):
            assert binding.reduce(X, training=False).dtype == torch.bfloat16
        evaluated = binding.reduce(X, training=False)
        assert evaluated.dtype == torch.float32
        assert binding.reduce(X, training=True) is not evaluated


def test_recomputation_in_another_thread_finds_adapter_and_switch() -> None:
    binding = Binding()
    binding.enabled = False
    with binding.scope(_increment()):
        _, again = binding.checkpoint_contexts()
    seen: list[tuple[bool, bool]] = []

    def recompute() -> None:
        with again:
            seen.append((binding.enabled, binding.increment is not None))
        seen.append((binding.enabled, binding.increment is not None))

    thread = threading.Thread(target=recompute)
    thread.start()
    thread.join()
    assert seen == [(False, True), (True, False)]


def test_a_compiled_block_is_not_cut_at_the_increment() -> None:
    matrix = torch.randn(2, 4, 3)
    x = torch.randn(2, 5, 4)

    def block(x: torch.Tensor) -> torch.Tensor:
        return Increment({4: matrix}, 1.0).reduce(x, training=False) + 1

    whole = torch.compile(block, fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(x), x @ matrix + 1)
