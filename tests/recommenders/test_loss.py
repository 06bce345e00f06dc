"""The term of the loss that compares the rows of one user."""

import math

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.recipe import RunConfig
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.loss import LossConfig, within_users
from corarec.recommenders.phase import Phase


def test_only_rows_of_one_user_with_both_labels_are_compared() -> None:
    logits = torch.tensor([2.0, 1.0, 9.0, -9.0, 0.0], requires_grad=True)
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0])
    users = torch.tensor([7, 7, 8, 9, 7])
    loss = within_users(logits, labels, users)
    by_hand = (math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2
    assert loss.item() == pytest.approx(by_hand)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[2:4].tolist() == [0, 0]


def test_without_such_rows_it_is_nothing_and_has_a_gradient_of_nothing() -> None:
    logits = torch.tensor([2.0, 1.0], requires_grad=True)
    loss = within_users(logits, torch.tensor([1.0, 0.0]), torch.tensor([1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.tolist() == [0, 0]


def test_a_system_adds_it_to_its_loss_in_the_phase_that_asks(
    small_world: Dataset, tiny_backbone: object
) -> None:
    system = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    rows = small_world.rows("train")[:40]
    data = TrainingData(small_world, rows, rows)
    plain = system.examples(data)
    system.phase = Phase(loss=LossConfig(pairwise=0.5, rows_per_user=3))
    examples = system.examples(data)
    chosen = np.arange(40)
    batch = examples.batch(chosen)
    assert batch["users"].tolist() == small_world.pairs(rows).user_ids.tolist()
    with torch.no_grad():
        logits = system.logits(**batch).float()
        term = within_users(logits, batch["labels"], batch["users"])
        with_term, without = system(**batch), system(**plain.batch(chosen))
    assert term > 0
    assert (with_term - without).item() == pytest.approx(0.5 * term.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("system", "refused"),
    [
        ({"name": "tallrec"}, False),
        ({"name": "tallrec", "loss": "language-model"}, True),
        ({"name": "cllm4rec"}, True),
    ],
)
def test_systems_that_learn_no_logits_refuse_it(system: dict[str, str], refused: bool) -> None:
    values = {"data": "data/any", "system": system, "train": {"loss": {"pairwise": 0.3}}}
    if not refused:
        assert RunConfig.model_validate(values).phases[0].system.loss.pairwise == 0.3
        return
    with pytest.raises(ValueError, match=r"loss\.pairwise compares the logits"):
        RunConfig.model_validate(values)


def test_every_phase_has_its_own() -> None:
    phases = [{"name": "one"}, {"name": "two", "loss": {"pairwise": 1}}]
    values = {"data": "data/any", "system": {"name": "tallrec"}, "train": {"phases": phases}}
    found = [phase.system.loss.pairwise for phase in RunConfig.model_validate(values).phases]
    assert found == [0, 1]
