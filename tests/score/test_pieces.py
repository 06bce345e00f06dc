from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.recommenders import build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.score.pieces import OpenPairs, ScoredPairs
from corarec.score.scorer import Scorer
from corarec.types import FloatArray


class Work(ScoredPairs):
    def open(self) -> OpenPairs:
        raise NotImplementedError


@pytest.fixture
def scorer(small_world: Dataset, tiny_backbone: Path) -> Scorer:
    system: Any = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    return Scorer(system)


def test_pieces_are_the_scores_of_the_whole_with_one_thread_a_batch_however_many_there_are(
    scorer: Scorer, small_world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = small_world.pairs(small_world.rows("train")[:90])
    work = Work(rows=90, chunk_pairs=70, batch_pairs=4)
    seen: list[int] = []
    logits = type(scorer.system).logits

    def watched(self: Any, **batch: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return logits(self, **batch)

    monkeypatch.setattr(type(scorer.system), "logits", watched)

    def scored(threads: int) -> FloatArray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        told: list[int] = []
        opened = OpenPairs(
            work, scorer, lambda chunk: pairs.take(slice(70 * chunk, 70 * chunk + 70))
        )
        scorer.batch_pairs = work.batch_pairs
        try:
            parts = [opened.piece(number, told.append) for number in range(work.count)]
        finally:
            torch.set_num_threads(before)
        assert sum(told) == 90
        return np.concatenate([work.together(chunk, parts.__getitem__) for chunk in (0, 1)])

    one, three = scored(1), scored(3)
    assert one.tobytes() == three.tobytes()
    assert set(seen) == {1}
    np.testing.assert_allclose(one, scorer.score(pairs), atol=1e-5)
