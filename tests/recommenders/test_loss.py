"""The term of the loss that compares the rows of one user."""

import math

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.recipe import RunConfig
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.loss import LossConfig, among_lists, within_users
from corarec.recommenders.phase import Phase
from corarec.train.plan import plan_of


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
    with pytest.raises(ValueError, match=r"loss\.pairwise and loss\.negatives need logits"):
        RunConfig.model_validate(values)


def test_every_phase_has_its_own() -> None:
    phases = [{"name": "one"}, {"name": "two", "loss": {"pairwise": 1}}]
    values = {"data": "data/any", "system": {"name": "tallrec"}, "train": {"phases": phases}}
    found = [phase.system.loss.pairwise for phase in RunConfig.model_validate(values).phases]
    assert found == [0, 1]


def test_a_list_is_a_softmax_of_the_liked_row_among_its_own() -> None:
    logits = torch.tensor([2.0, 1.0, 9.0, -9.0, 0.0], requires_grad=True)
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0])
    lists = torch.tensor([7, 7, 8, 9, 7])
    loss = among_lists(logits, labels, lists)
    by_hand = -math.log(math.exp(2) / (math.exp(2) + math.exp(1) + 1)) / 2  # alone: log 1
    assert loss.item() == pytest.approx(by_hand)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[2:4].tolist() == [0, 0]
    nothing = among_lists(logits, torch.zeros(5), lists)
    assert nothing.item() == 0
    nothing.backward()


def test_a_system_learns_from_liked_rows_beside_drawn_items(
    small_world: Dataset, tiny_backbone: object
) -> None:
    system = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    rows = small_world.rows("train")[:40]
    liked = int(small_world.labels(rows).sum())
    data = TrainingData(small_world, rows, small_world.rows("valid")[:30])
    system.phase = Phase(loss=LossConfig(negatives=3, listwise=True))
    examples = system.examples(data)
    assert len(examples) == 4 * liked
    plan = plan_of(examples, 8, seed=0)
    batch = examples.batch(plan[0])
    assert np.unique(batch["users"].numpy(), return_counts=True)[1].tolist() == [4, 4]
    assert batch["labels"].sum() == 2
    with torch.no_grad():
        logits = system.logits(**batch).float()
        expected = among_lists(logits, batch["labels"], batch["users"])
        torch.testing.assert_close(system(**batch), expected)
        system.phase = Phase(loss=LossConfig(negatives=3))
        answers = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch["labels"])
        torch.testing.assert_close(system(**batch), answers)
        system.phase = Phase(loss=LossConfig(negatives=3, pairwise=0.5))
        term = within_users(logits, batch["labels"], batch["users"])
        torch.testing.assert_close(system(**batch), answers + 0.5 * term)
    assert 0 <= system.eval().validation(data)()["auc"] <= 1


def test_a_list_without_negatives_is_refused() -> None:
    with pytest.raises(ValueError, match="set negatives"):
        LossConfig(listwise=True)
