from pathlib import Path

import numpy as np
import pytest
import torch

import corarec
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.icl import ICLRecommender, ICLSystem
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.pointwise import LabelledExamples, PairValidation
from corarec.score.scorer import Scorer


def test_examples_are_pairs_beside_their_labels(small_world: Dataset, tiny_backbone: Path) -> None:
    system = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    rows = small_world.rows("train")[:9]
    examples = system.examples(TrainingData(small_world, rows, rows))
    assert isinstance(examples, LabelledExamples)
    chosen = np.array([4, 1])
    batch = examples.batch(chosen)
    assert batch["labels"].tolist() == small_world.labels(rows)[chosen].tolist()
    assert len(examples) == len(batch["input_ids"]) + 7


def test_the_loss_is_binary_cross_entropy(small_world: Dataset, tiny_backbone: Path) -> None:
    system = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    rows = small_world.rows("train")[:5]
    batch = system.examples(TrainingData(small_world, rows, rows)).batch(np.arange(5))
    with torch.no_grad():
        loss = system(**batch)
    scores, labels = Scorer(system).score(small_world.pairs(rows)), small_world.labels(rows)
    by_hand = np.mean(np.log1p(np.exp(np.where(labels == 1, -scores, scores))))
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_validation_makes_its_prompts_once(
    small_world: Dataset, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    assert isinstance(system, PromptRecommender)
    rows = small_world.rows("valid")
    validate = PairValidation(system, small_world.pairs(rows), small_world.labels(rows))
    monkeypatch.setattr(type(system.encoder), "encode", lambda *_: pytest.fail("made again"))
    assert validate() == validate()
    assert 0 <= validate()["auc"] <= 1


def test_both_labels_are_wanted(small_world: Dataset) -> None:
    rows = small_world.rows("train")
    liked = rows[small_world.labels(rows) == 1]
    with pytest.raises(ConfigError, match=r"validation rows have the labels \[1\]"):
        ICLRecommender.check(TrainingData(small_world, train_rows=rows, valid_rows=liked))
    ICLRecommender.check(TrainingData(small_world, train_rows=rows, valid_rows=rows))


def test_training_chooses_by_one_auc() -> None:
    # Sums in another order differ in the last bit, enough to keep the weights of another step.
    package = Path(corarec.__file__).parent
    using = {path.name for path in package.rglob("*.py") if "roc_auc_score" in path.read_text()}
    assert using == {"report.py"}
