from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from corarec.errors import TrainingError
from corarec.score.batches import PASS_TOKENS, Batch
from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.types import Histories, IntArray, Pairs

PAIRS = Pairs(
    np.ones(200, np.int64),
    np.random.default_rng(0).integers(1, 20, 200),
    Histories.from_lists([[]] * 200),
)


class Inputs:
    def __init__(self, pairs: Pairs, new_titles: Sequence[str]) -> None:
        self.pairs, self.new_titles = pairs, new_titles
        self.lengths: IntArray = pairs.item_ids

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        return {"items": torch.from_numpy(self.pairs.item_ids[rows])}


class Toy(nn.Module):
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.items = nn.Embedding(21, 8)
        self.batches: list[int] = []
        self.new_titles: Sequence[str] = ()
        self.eval()

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Inputs:
        self.new_titles = new_titles
        return Inputs(pairs, new_titles)

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch["items"]))
        return self.items(batch["items"]).sum(dim=1)


def test_scores_come_in_the_order_of_the_pairs_whatever_the_batches() -> None:
    toy = Toy()
    expected = toy.items.weight.detach().sum(dim=1)[torch.from_numpy(PAIRS.item_ids)]
    for batch_pairs, chunk_pairs in ((200, 1000), (7, 50), (3, 1)):
        scorer = Scorer(toy, batch_pairs=batch_pairs, chunk_pairs=chunk_pairs)
        np.testing.assert_allclose(scorer.score(PAIRS), expected, rtol=1e-6)


def test_a_chunk_is_scored_alike_wherever_it_stands() -> None:
    """The batches of a chunk follow from the chunk alone, so that workers can share the work."""
    toy = Toy()
    scorer = Scorer(toy, batch_pairs=16, chunk_pairs=50)
    whole = scorer.score(PAIRS)
    together = list(toy.batches)
    toy.batches.clear()
    parts = [
        scorer.score_chunk(PAIRS.take(slice(first, first + 50))) for first in (150, 0, 100, 50)
    ]
    assert np.array_equal(np.concatenate([parts[1], parts[3], parts[2], parts[0]]), whole)
    assert together == toy.batches == [16, 16, 16, 2] * 4


def test_progress_adds_up() -> None:
    done: list[int] = []
    Scorer(Toy(), batch_pairs=64).score(PAIRS, progress=done.append)
    assert sum(done) == 200


def test_no_pairs() -> None:
    assert len(Scorer(Toy()).score(PAIRS.take(slice(0, 0)))) == 0


def test_a_score_that_is_not_finite_names_its_pair() -> None:
    toy = Toy()
    with torch.no_grad():
        toy.items.weight[PAIRS.item_ids[5]] = float("inf")
    with pytest.raises(TrainingError, match=rf"item {PAIRS.item_ids[5]}\)"):
        Scorer(toy).score(PAIRS)


def test_a_system_in_training_is_refused_and_left_as_it_is() -> None:
    toy = Toy()
    toy.train()
    with pytest.raises(TrainingError, match=r"training mode.*Call eval\(\) first"):
        Scorer(toy).score(PAIRS)
    assert toy.training


def test_many_items_in_one_context_are_its_pairs() -> None:
    context = Context(3, np.array([4, 2]))
    pairs = context.pairs(np.array([7, 8, 9]))
    assert pairs.user_ids.tolist() == [3, 3, 3]
    assert pairs.item_ids.tolist() == [7, 8, 9]
    assert [pairs.histories[n].tolist() for n in range(3)] == [[4, 2]] * 3
    assert pairs.rows is None
    toy = Toy()
    scores = Scorer(toy).score_items(context, np.array([7, 20]), new_titles=["New (2001)"])
    assert np.array_equal(scores, Scorer(toy).score(context.pairs(np.array([7, 20]))))


def test_titles_of_new_items_reach_the_system() -> None:
    toy = Toy()
    Scorer(toy).score(PAIRS, new_titles=["New (2001)"])
    assert toy.new_titles == ["New (2001)"]


class Catalogue(Toy):
    """Gives all items at once: a user's number times that of the item, plus what is liked."""

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Inputs:
        inputs = super().inputs(pairs, new_titles)
        inputs.lengths = pairs.histories.lengths()
        return inputs

    def catalogue_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch["items"]))
        return torch.arange(21.0).expand(len(batch["items"]), -1)


def test_all_items_of_a_context_come_from_one_pass() -> None:
    system = Catalogue()
    scorer = Scorer(system)
    assert scorer.scores_catalogues
    assert not Scorer(Toy()).scores_catalogues
    context = Context(1, np.array([2, 3]))
    scored: list[int] = []
    # An item from elsewhere is item 0, which nobody knows.
    found = scorer.score_items(context, np.array([7, 3, 20, 21, 500]), progress=scored.append)
    assert found.tolist() == [7, 3, 20, 0, 0]
    assert (system.batches, scored) == ([1], [5])
    several = [Context(0, np.arange(1, 1 + n)) for n in (1, 5, 3)]
    assert Scorer(system, batch_pairs=2).score_catalogue(several).shape == (3, 21)
    assert system.batches == [1, 2, 1]
    # Titles of new items go the way of pairs, where a system may refuse them.
    scorer.score_items(context, np.array([7]), new_titles=["New"])
    assert system.new_titles == ["New"]


def test_a_catalogue_that_is_not_finite_is_an_error() -> None:
    class Broken(Catalogue):
        def catalogue_logits(self, **batch: torch.Tensor) -> torch.Tensor:
            return super().catalogue_logits(**batch) / torch.tensor([1.0] * 5 + [0.0] + [1.0] * 15)

    with pytest.raises(TrainingError, match=r"gave inf for pair 0 \(user 9, item 5\)"):
        Scorer(Broken()).score_catalogue([Context(9, np.array([1]))])
    with pytest.raises(TrainingError, match="in training mode"):
        Scorer(Catalogue().train()).score_catalogue([Context(9, np.array([1]))])


def test_a_pass_holds_so_many_tokens_and_scores_are_of_their_pairs() -> None:
    class Long(Toy):
        def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Inputs:
            inputs = super().inputs(pairs, new_titles)
            inputs.lengths = pairs.item_ids * 100
            return inputs

        def scoring_order(self, examples: Inputs) -> IntArray:
            return np.argsort(examples.lengths)

        def scoring_logits(self, **batch: torch.Tensor) -> torch.Tensor:
            return self.logits(**batch)

    toy = Long()
    scores = Scorer(toy, batch_pairs=50).score(PAIRS)
    expected = toy.items.weight.detach().sum(dim=1)[torch.from_numpy(PAIRS.item_ids)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    in_turn = np.sort(PAIRS.item_ids) * 100
    assert sum(toy.batches) == 200
    first = 0
    for count in toy.batches:
        assert count * in_turn[first : first + count].max() <= PASS_TOKENS or count == 1
        first += count
    assert len(toy.batches) < 80


def test_batches_of_a_chunk_are_scored_a_few_at_a_time_with_the_bits_of_the_whole() -> None:
    toy = Toy()
    scorer = Scorer(toy, batch_pairs=30)
    batches = scorer.batches(PAIRS)
    assert len(batches) == 7
    scores = np.full(200, np.nan)
    for first in (4, 0, 6, 2):
        rows, logits = batches.score(slice(first, first + 2))
        scores[rows] = logits
    np.testing.assert_array_equal(scores, scorer.score(PAIRS))
