import pytest
import torch
from torch.nn import functional as F

from corarec.cf.sequences import cross_entropy
from corarec.cf.sequences.cross_entropy import catalogue_cross_entropy


@pytest.mark.parametrize("held", [1, 14, 10_000])
def test_loss_and_gradients_are_those_of_the_plain_one(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "NUMBERS_AT_ONCE", held)
    torch.manual_seed(0)
    states = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    table = (3 * torch.randn(7, 4, dtype=torch.float64)).requires_grad_()
    targets = torch.tensor([0, 6, 6, 1, 2, 3, 4, 5, 0])
    found, plain = (
        (loss, *torch.autograd.grad(2.5 * loss, (states, table)))
        for loss in (
            catalogue_cross_entropy(states, table, targets),
            F.cross_entropy(states @ table.T, targets),
        )
    )
    torch.testing.assert_close(found, plain)


def test_large_logits_stay_finite_and_a_nan_is_told() -> None:
    states = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    loss = catalogue_cross_entropy(states, torch.tensor([[1.0], [-1.0]]), torch.tensor([1, 1]))
    assert loss.item() == pytest.approx(1e4)
    loss.backward()
    assert states.grad is not None
    assert states.grad.isfinite().all()
    broken = torch.tensor([[float("nan")]])
    assert catalogue_cross_entropy(broken, torch.ones(3, 1), torch.tensor([0])).isnan()


def test_the_logits_of_all_rows_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "NUMBERS_AT_ONCE", 50)
    held: list[int] = []
    multiply = torch.mm

    def told(*arguments: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        held.append(out.numel())
        return multiply(*arguments, out=out)

    monkeypatch.setattr(torch, "mm", told)
    catalogue_cross_entropy(torch.ones(64, 2), torch.ones(10, 2), torch.zeros(64, dtype=torch.long))
    assert max(held) <= 50
    assert sum(held) == 640
