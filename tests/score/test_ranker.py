import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from corarec.errors import TrainingError
from corarec.score.batches import Batch
from corarec.score.context import Context
from corarec.score.ranker import RANKED_PAIRS, TRIED_PAIRS, Ranker
from corarec.score.scorer import Scorer
from corarec.types import IntArray, Pairs

CONTEXT = Context(3, np.array([2, 5]))


@dataclass
class Lengths:
    """Inputs of pairs whose prompts are as long as their item's number."""

    pairs: Pairs

    def __post_init__(self) -> None:
        self.lengths: IntArray = self.pairs.item_ids

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        items = torch.from_numpy(self.pairs.item_ids[rows])
        mask = torch.arange(int(items.max()))[None] < items[:, None]
        return {"items": items.float(), "attention_mask": mask.long().flip(1)}


@dataclass
class Shares:
    """Scores an item by its number, and notes how it was asked."""

    wrong: float = 0.0
    """What the first way adds."""
    failing: Exception | None = None
    unlike: bool = False
    training: bool = False
    plain: list[int] = field(default_factory=list)
    shared: list[tuple[str, int]] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Lengths:
        return Lengths(pairs)

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        self.plain.append(len(batch["items"]))
        return batch["items"]

    def ways_to_share(self) -> Sequence[str]:
        return ("haste", "care")

    def share_tolerance(self) -> float:
        return 1e-3

    def shared_logits(self, batch: Batch, way: str) -> torch.Tensor | None:
        self.shared.append((way, len(batch["items"])))
        if self.unlike:
            return None
        if way == "haste" and self.failing:
            raise self.failing
        return batch["items"] + (self.wrong if way == "haste" else 0.0)


def test_the_quickest_way_is_tried_on_a_few_items_once() -> None:
    system = Shares()
    done: list[int] = []
    ranker = Ranker(system)
    items = np.arange(100, 0, -1)
    scores = ranker.score_items(CONTEXT, items, progress=done.append)
    np.testing.assert_array_equal(scores, items)
    assert system.shared == [("haste", 100)]
    assert system.plain == [TRIED_PAIRS]
    assert sum(done) == 100
    ranker.score_items(CONTEXT, items[:2])
    assert system.plain == [TRIED_PAIRS]


def test_any_number_of_items_in_pieces() -> None:
    system = Shares()
    items = np.arange(1, 2 * RANKED_PAIRS + 3) % 50 + 1
    np.testing.assert_array_equal(Ranker(system).score_items(CONTEXT, items), items)
    assert [count for _, count in system.shared] == [RANKED_PAIRS, RANKED_PAIRS, 2]


def test_a_way_that_gives_other_scores_is_left_and_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = Shares(wrong=0.5)
    ranker = Ranker(system)
    for _ in range(2):
        scores = ranker.score_items(CONTEXT, np.arange(1, 21))
        np.testing.assert_array_equal(scores, np.arange(1, 21))
    assert [way for way, _ in system.shared] == ["haste", "care", "care"]
    assert caplog.text.count("by haste: scores would differ by 2.5e-02") == 1
    assert "It scores by care" in caplog.text


def test_rounding_is_allowed() -> None:
    system = Shares(wrong=0.01)
    scores = Ranker(system).score_items(CONTEXT, np.arange(1, 21))
    np.testing.assert_allclose(scores, np.arange(1, 21) + 0.01)


def test_a_way_that_fails_at_first_is_left(caplog: pytest.LogCaptureFixture) -> None:
    system = Shares(failing=RuntimeError("no such\nkernel"))
    scores = Ranker(system).score_items(CONTEXT, np.arange(1, 21))
    np.testing.assert_array_equal(scores, np.arange(1, 21))
    assert "it failed (no such kernel)" in caplog.text


def test_a_way_that_fails_after_its_trial_is_an_error() -> None:
    system = Shares()
    ranker = Ranker(system)
    ranker.score_items(CONTEXT, np.arange(1, 21))
    system.failing = RuntimeError("the device is gone")
    with pytest.raises(RuntimeError, match="the device is gone"):
        ranker.score_items(CONTEXT, np.arange(1, 21))


def test_prompts_that_do_not_begin_alike_are_scored_as_wholes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = Shares(unlike=True)
    ranker = Ranker(system)
    np.testing.assert_array_equal(ranker.score_items(CONTEXT, np.arange(1, 21)), np.arange(1, 21))
    assert sum(system.plain) == 20
    assert not caplog.text  # of other prompts it may be true
    system.unlike = False
    ranker.score_items(CONTEXT, np.arange(1, 21))
    assert system.shared[-1] == ("haste", 20)


def test_one_item_and_none() -> None:
    system = Shares()
    assert Ranker(system).score_items(CONTEXT, np.array([7])).tolist() == [7]
    assert Ranker(system).score_items(CONTEXT, np.array([], dtype=np.int64)).tolist() == []
    assert system.shared == []


def test_tables_of_pairs_have_the_bits_of_a_scorer() -> None:
    system = Shares()
    pairs = CONTEXT.pairs(np.arange(1, 200))
    np.testing.assert_array_equal(Ranker(system).score(pairs), Scorer(Shares()).score(pairs))
    assert system.shared == []


def test_a_system_that_cannot_share() -> None:
    class Plain(Shares):
        def ways_to_share(self) -> Sequence[str]:
            return ()

    system = Plain()
    Ranker(system).score_items(CONTEXT, np.arange(1, 21))
    assert system.shared == []


@pytest.mark.parametrize("what", ["nan", "training"])
def test_what_a_scorer_refuses(what: str) -> None:
    system: Any = Shares(wrong=0.0)
    ranker = Ranker(system)
    ranker.score_items(CONTEXT, np.arange(1, 21))
    if what == "training":
        system.training = True
        match = "in training mode"
    else:
        system.wrong = float("nan")
        match = r"gave nan for pair 0 \(user 3, item 1\)"
    with pytest.raises(TrainingError, match=match):
        ranker.score_items(CONTEXT, np.arange(1, 21))


def test_threads_may_share_one() -> None:
    system = Shares(wrong=0.5)
    ranker = Ranker(system)
    found: list[Any] = [None] * 4

    def score(place: int) -> None:
        found[place] = ranker.score_items(CONTEXT, np.arange(1, 21))

    threads = [threading.Thread(target=score, args=[place]) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for scores in found:
        np.testing.assert_array_equal(scores, np.arange(1, 21))
