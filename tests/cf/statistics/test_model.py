from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from corarec.cf import FitConfig, VectorSource, fit_cf, load_cf
from corarec.cf.counting.rows import Asked
from corarec.cf.report import auc
from corarec.cf.statistics import Statistics, model
from corarec.cf.statistics.features import Features
from corarec.cf.statistics.heads import Heads, Labelled, fit_heads
from corarec.data import Dataset, KnowledgePolicy, PrepareConfig, prepare
from corarec.errors import ArtifactError, ConfigError, DataError

PARTS: tuple[Literal["train", "valid"], ...] = ("train", "valid")
QUICK = {"rounds": 20, "bags": 1, "leaf_rows": 20}


def under(dataset: Dataset, policy: str) -> Dataset:
    return dataset.under(KnowledgePolicy.model_validate(policy))


def fit(dataset: Dataset, **options: Any) -> Statistics:
    model, _ = fit_cf(dataset, FitConfig(model="statistics", options=QUICK | options))
    assert isinstance(model, Statistics)
    return model


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    size = {"num_users": 120, "num_items": 80, "interactions_per_user": 30}
    return prepare(
        PrepareConfig(
            source="synthetic",
            output=tmp_path_factory.mktemp("data") / "world",
            split="published",
            source_options=size,
        )
    )


@pytest.mark.parametrize("policy", ["snapshot", "streaming"])
def test_it_learns_a_world_it_has_not_seen(world: Dataset, policy: str) -> None:
    known = under(world, policy)
    model = fit(known)
    assert model.report is not None
    assert model.report.valid_auc > 0.6
    names = [name for _, name in model.statistic_names()]
    assert len(set(names)) == len(names)
    assert ("fading" in names) == (policy == "streaming")
    assert model.match_size == 5
    found = model.statistics(VectorSource(model, known).known(known.pairs("test")))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("policy", ["snapshot", "streaming"])
def test_of_many_rows_it_learns_from_some_and_counts_all(
    world: Dataset, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    known = under(world, policy)
    monkeypatch.setattr(model, "ROWS_TO_LEARN_FROM", 300)
    heads: list[int] = []

    def counted(train: Labelled, *others: Any) -> Heads:
        heads.append(len(train.labels))
        return fit_heads(train, *others)

    monkeypatch.setattr(model, "fit_heads", counted)
    fitted = fit(known)
    assert 0 < heads[0] <= 300
    assert len(fitted.tensors()["rows"]) == len(known.rows("train"))
    assert fitted.report is not None
    assert fitted.report.train_rows == len(known.rows("train"))
    assert fitted.report.valid_auc > 0.55


def test_each_pair_is_counted_once_for_a_fit(
    world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, asked = under(world, "snapshot"), list[int]()
    of = Features.of

    def counted(features: Features, pairs: Asked) -> Any:
        asked.append(len(pairs))
        return of(features, pairs)

    monkeypatch.setattr(Features, "of", counted)
    fitted = fit(known)
    assert sum(asked) == len(known.rows("train")) + len(known.rows("valid"))
    assert fitted.report is not None
    told = fitted.report.train_auc, fitted.report.valid_auc
    scores = [VectorSource(fitted, known).score(known.pairs(part)) for part in PARTS]
    found = [auc(known.labels(part), some) for part, some in zip(PARTS, scores, strict=True)]
    assert told == pytest.approx(found, abs=1e-5)


def test_no_pairs_have_no_scores(world: Dataset) -> None:
    known = under(world, "streaming")
    nothing = known.pairs(np.zeros(0, dtype=np.int64))
    fitted = VectorSource(fit(known, head="lr"), known)
    assert len(fitted.score(nothing)) == 0
    assert len(fitted.vector_table(nothing).user_rows) == 0


def test_a_family_left_out_is_in_no_vector(world: Dataset) -> None:
    known = under(world, "snapshot")
    whole, bare = fit(known), fit(known, families=["user", "item"], head="lr")
    assert bare.match_size == 0
    assert bare.vector_table(known.pairs("valid")).matches is None
    assert set(bare.statistic_names()) < set(whole.statistic_names())
    assert list(bare.scores_by_head(known.pairs("valid"))) == ["lr"]


def test_what_nothing_is_known_of_is_zero_and_the_rest_keeps_its_meaning(world: Dataset) -> None:
    known = under(world, "snapshot")
    model, pairs = fit(known), known.pairs("test")
    table = model.vector_table(pairs)
    users, items = table.lookup(np.arange(len(pairs)))
    train = known.interactions.filter(known.interactions["split"] == "train")
    new_items = ~np.isin(pairs.item_ids, train["item_id"].to_numpy())
    assert new_items.any()
    assert not items[torch.from_numpy(new_items)].any()
    assert items[torch.from_numpy(~new_items)].any(dim=1).all()
    new_users = ~np.isin(pairs.user_ids, train["user_id"].to_numpy())
    without = new_users & (pairs.histories.lengths() == 0)
    assert not users[torch.from_numpy(without)].any()
    assert users[torch.from_numpy(~without)].any(dim=1).all()
    # The content of a new item is known, and so is the taste of its user.
    assert table.matches is not None
    of_both = torch.from_numpy(new_items & ~new_users)
    assert table.matches[of_both].any(dim=1).float().mean() > 0.9
    assert table.users.abs().max() <= 5


@pytest.mark.parametrize("policy", ["snapshot", "streaming"])
def test_it_scores_without_the_dataset_and_after_loading(
    world: Dataset, policy: str, tmp_path: Path
) -> None:
    known = under(world, policy)
    model = fit(known)
    model.save(tmp_path / "cf")
    loaded = load_cf(tmp_path / "cf", world.fingerprint)
    pairs = known.pairs("valid")
    first, second = (VectorSource(each, known).score(pairs) for each in (model, loaded))
    assert np.array_equal(first, second)
    alone = VectorSource(loaded, None)
    assert loaded.report is not None
    assert loaded.report.knowledge == known.policy
    asked = known.pairs("valid").take(np.arange(3))
    assert np.isfinite(alone.score(replace(asked, rows=None))).all()


def test_a_training_row_does_not_see_its_own_month(world: Dataset) -> None:
    known = under(world, "snapshot")
    model = fit(known)
    train = known.pairs("train")
    place = [name for _, name in model.statistic_names()].index("log count of the user")
    counts = np.expm1(model.statistics(train)[:, place])
    assert train.times is not None
    month = known.policy.period_start(train.times)
    for n in range(0, len(train), 97):
        earlier = (train.user_ids == train.user_ids[n]) & (train.times < month[n])
        assert counts[n] == pytest.approx(earlier.sum())


def test_other_policies_and_models_are_told_apart(world: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'statistics' cannot honour .* 'train'"):
        fit(world)
    model = fit(under(world, "snapshot"))
    with pytest.raises(ArtifactError, match="fitted with knowledge: snapshot of each month, and"):
        VectorSource(model, under(world, "streaming"))
    with pytest.raises(ConfigError, match="'mf-b' cannot honour the knowledge policy 'snapshot'"):
        fit_cf(under(world, "snapshot"), FitConfig(model="mf-b"))
    with pytest.raises(ConfigError, match="train_until=0.5 came with knowledge: streaming"):
        choice = FitConfig(model="statistics", train_until=0.5)
        fit_cf(under(world, "streaming"), choice)


def test_a_period_as_long_as_train_leaves_nothing_to_learn_from(world: Dataset) -> None:
    long = world.under(KnowledgePolicy(policy="snapshot", period=36_500))
    with pytest.raises(DataError, match="lie after the first period .*shorter knowledge.period"):
        fit(long)


def test_no_family_twice() -> None:
    with pytest.raises(ValueError, match="each family at most once"):
        FitConfig(model="statistics", options={"families": ["user", "user"]})


@pytest.mark.parametrize("policy", ["snapshot", "streaming"])
def test_every_number_of_a_vector_is_of_one_family(world: Dataset, policy: str) -> None:
    known = under(world, policy)
    model = fit(known, head="lr")
    table = VectorSource(model, known).vector_table(known.pairs("valid"))
    names = [name for _, name in model.statistic_names()]
    assert len(set(names)) == len(names)
    sides = {"user": table.users, "item": table.items, "match": table.matches}
    for side, numbers in sides.items():
        assert numbers is not None
        places = [place for family in model.families for place in getattr(family, side)]
        used = [of for of, _ in model.statistic_names()].count(side)
        assert sorted(places) == list(range(used))
        assert (numbers[:, used:] == 0).all()
    found = {family.name for family in model.families}
    assert {"user", "item", "residuals", "content", "neighbours", "history"} <= found
    assert ("running" in found) == (policy == "streaming")


def test_with_folds_a_training_row_is_scored_without_its_user(
    world: Dataset, tmp_path: Path
) -> None:
    known = under(world, "snapshot")
    plain, folded = fit(known, rounds=60), fit(known, rounds=60, folds=3)
    rows = known.learnable()
    of_train, of_valid = known.pairs(rows), known.pairs("valid")
    sources = [VectorSource(model, known) for model in (plain, folded)]
    one, other_one = (source.score(of_valid) for source in sources)
    np.testing.assert_array_equal(one, other_one)
    labels = known.labels(rows)
    first, second = (auc(labels, source.score(of_train)) for source in sources)
    assert second < first - 0.02
    folded.save(tmp_path / "cf")
    again = VectorSource(load_cf(tmp_path / "cf"), known)
    np.testing.assert_array_equal(again.score(of_train), sources[1].score(of_train))
    table, other = (source.vector_table(of_train) for source in sources)
    assert torch.equal(table.users, other.users)
    with pytest.raises(ValueError, match="one fold leaves no rows"):
        Statistics.config_class.model_validate({"folds": 1})


def test_statistics_are_computed_once_for_vectors_and_score(
    world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = under(world, "streaming")
    source = VectorSource(fit(known), known)
    pairs, others = known.pairs("valid"), known.pairs("test")
    asked: list[int] = []
    of = Features.of

    def counted(self: Features, asked_pairs: Any) -> Any:
        asked.append(len(asked_pairs))
        return of(self, asked_pairs)

    monkeypatch.setattr(Features, "of", counted)
    source.vector_table(pairs)
    first = source.score(pairs)
    assert asked == [len(pairs)]
    source.score(others)
    assert asked == [len(pairs), len(others)]
    np.testing.assert_array_equal(source.score(pairs), first)
    few = pairs.take(np.arange(3))
    assert len(source.score(few)) == 3
