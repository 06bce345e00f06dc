import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corarec.benchmark import joining
from corarec.benchmark.joining import learn_order, learn_ranking
from corarec.benchmark.ranking import JOINED, rank_run, ranked_users
from corarec.benchmark.unseen import UnseenItems
from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError, DataError
from corarec.evaluate import BootstrapConfig, RankingConfig, rank_users
from corarec.files import read_json
from corarec.runs import Run, load_run
from corarec.score.context import Context
from corarec.score.joined import (
    CF,
    HISTORY,
    LAST,
    NO_HISTORY,
    POPULARITY,
    SYSTEM,
    Group,
    GroupOrder,
    JoinedRanking,
)
from corarec.types import FloatArray, IntArray, Pairs


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Run:
    shutil.copytree(trained_run, tmp_path / "run")
    return load_run(tmp_path / "run")


class Oracle:
    """A CF model that knows the right answers of validation, or their opposite."""

    name = "oracle"
    reads_history = False

    def __init__(self, dataset: Dataset, sign: float) -> None:
        unseen = UnseenItems(dataset, "valid", None, 10)
        self.wanted = {
            user: unseen.wanted(user) for user in ranked_users(dataset, "valid").tolist()
        }
        self.sign = sign

    def score(self, pairs: Pairs) -> FloatArray:
        wanted = self.wanted[int(pairs.user_ids[0])]
        return self.sign * np.isin(pairs.item_ids, wanted).astype(np.float64)


def ndcg(
    dataset: Dataset, groups: Mapping[Group, GroupOrder], cf: VectorSource
) -> tuple[float, float]:
    """Return NDCG@10 on validation of the learned order and of popularity."""
    unseen = UnseenItems(dataset, "valid", cf, 10)
    users = ranked_users(dataset, "valid")

    def mean(order: Callable[[int], IntArray]) -> float:
        score, config = partial(unseen.scores, order), RankingConfig(cutoffs=(10,))
        ranked = rank_users(score, users, unseen.seen, unseen.relevant, config)
        return float(ranked.metrics["ndcg@10"].mean())

    return mean(partial(unseen.joined, None, groups)), mean(unseen.popular)


@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
def test_it_is_never_below_popularity_on_validation(small_world: Dataset, sign: float) -> None:
    cf = Oracle(small_world, sign)
    groups = learn_order(small_world, cf, None, candidates=10)  # type: ignore[arg-type]
    learned, popular = ndcg(small_world, groups, cf)  # type: ignore[arg-type]
    assert learned >= popular
    if sign > 0:
        assert learned > 0.99
        assert groups[HISTORY].first[CF] > 0
    if sign < 0:
        assert groups[HISTORY].first.get(CF, 0.0) == 0


def test_a_system_that_knows_orders_the_candidates_and_one_that_does_not_is_left_out(
    small_world: Dataset,
) -> None:
    knows = Oracle(small_world, 1.0)
    for sign in (1.0, -1.0):

        def score(context: Context, items: IntArray, sign: float = sign) -> FloatArray:
            return sign * np.isin(items, knows.wanted[context.user_id]).astype(np.float64)

        group = learn_order(small_world, None, score, candidates=15)[HISTORY]
        assert (group.then.get(SYSTEM, 0.0) > 0) == (sign > 0)
        assert group.validation[group.chosen] >= group.validation["popularity"]


def test_a_small_group_learns_from_all_and_few_users_fall_back(small_world: Dataset) -> None:
    cf = Oracle(small_world, 1.0)
    groups = learn_order(small_world, cf, None, candidates=10)  # type: ignore[arg-type]
    everyone = sum(group.users for group in groups.values())
    assert groups[NO_HISTORY].users < joining.FEWEST
    assert groups[NO_HISTORY].learned_from == everyone
    few = learn_order(small_world, cf, None, candidates=10, max_users=1)  # type: ignore[arg-type]
    assert few[HISTORY].first == few[HISTORY].then == {POPULARITY: 1.0}
    assert few[HISTORY].chosen == "popularity"


class Fresh(Oracle):
    """A CF model that knows the right answers from the last like alone: any other one misleads."""

    reads_history = True

    def score(self, pairs: Pairs) -> FloatArray:
        alone = (pairs.histories.lengths() == 1).all()
        return super().score(pairs) * (1.0 if alone else -1.0)


def test_what_was_liked_last_has_a_say_of_its_own(small_world: Dataset) -> None:
    cf = Fresh(small_world, 1.0)
    groups = learn_order(small_world, cf, None, candidates=10)  # type: ignore[arg-type]
    group = groups[HISTORY]
    assert group.first["cf-last-1"] > 0.9
    assert group.validation["the CF model on the last like"] > 0.99
    assert group.validation["the CF model"] < 0.1
    learned, popular = ndcg(small_world, groups, cf)  # type: ignore[arg-type]
    assert learned > 0.9 > popular
    plain = Oracle(small_world, 1.0)
    found = learn_order(small_world, plain, None, candidates=10)[HISTORY]  # type: ignore[arg-type]
    assert not set(LAST) & set(found.validation)


def test_candidates_are_learned_from_more_people_than_the_system_is_asked_for(
    small_world: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def score(context: Context, items: IntArray) -> FloatArray:
        asked.append(context.user_id)
        return np.zeros(len(items))

    cf = Oracle(small_world, 1.0)
    drawn = learn_order(small_world, cf, score, candidates=5, max_users=2)  # type: ignore[arg-type]
    assert len(asked) == 2
    assert drawn[HISTORY].first[CF] > 0  # of two people nothing would have been learned
    assert drawn[HISTORY].learned_from == 2
    monkeypatch.setattr(joining, "MOST", 1)
    few = learn_order(small_world, cf, score, candidates=5, max_users=2)  # type: ignore[arg-type]
    assert few[HISTORY].first == {POPULARITY: 1.0}


def test_without_likes_in_validation_there_is_nothing_to_learn_from(small_world: Dataset) -> None:
    rows = small_world.interactions.with_columns(
        label=pl.when(pl.col("split") == "valid").then(0).otherwise(pl.col("label")).cast(pl.Int8)
    )
    with pytest.raises(DataError, match="Nobody likes anything in the validation split"):
        learn_order(replace(small_world, interactions=rows), None, None, candidates=5)
    with pytest.raises(ConfigError, match="candidates is 0"):
        learn_order(small_world, None, None, candidates=0)


def test_a_run_keeps_its_weights_and_uses_them(run: Run, tmp_path: Path) -> None:
    assert run.joined is None
    assert run.order_words(liked=[run.knowledge.catalogue.titles[1]]).startswith("the run's score")
    scored: list[int] = []
    joined = learn_ranking(run, candidates=8, max_users=25, progress=scored.append)
    assert sum(scored) == 8 * 25
    kept = JoinedRanking.model_validate(read_json(run.folder / "ranking.json"))
    assert kept == joined
    assert set(kept.provenance["recipes"]) == {"run"}
    again = load_run(run.folder)
    assert again.joined == joined
    title = run.knowledge.catalogue.titles[1]
    assert "as learned on validation" in again.order_words(liked=title)
    # An order by popularity alone offers the most popular, whatever the run says.
    plain = {"first": {POPULARITY: 1.0}, "then": {POPULARITY: 1.0}}
    groups = {name: group.model_copy(update=plain) for name, group in joined.groups.items()}
    popular = replace(again, joined=joined.model_copy(update={"groups": groups}))
    best = popular.recommend(liked=title, k=5, candidates=8)
    counts = run.dataset.popularity.copy()
    counts[[0, 1]] = -1
    expected = np.argsort(-counts, kind="stable")[:5]
    assert best["item"].to_list() == run.knowledge.catalogue.vocabulary.raw(expected)
    assert best["candidate_rank"].to_list() == [1, 2, 3, 4, 5]
    few, draws = RankingConfig(cutoffs=(5,)), BootstrapConfig(draws=20)
    table = rank_run(popular, "valid", candidates=8, max_users=25, config=few, bootstrap=draws)
    assert [system.name for system in table.systems] == [JOINED, "cora", "mf-b alone"]
    assert table.comparisons[-2].metrics["ndcg@5"].value == 0  # popularity itself
    assert (table.comparisons[-2].first, table.comparisons[-2].second) == (JOINED, "Popularity")


def test_weights_of_another_training_are_not_used(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    joined = learn_ranking(run, candidates=3, max_users=5)
    path = run.folder / "ranking.json"
    path.write_text(joined.model_copy(update={"weights_digest": "other"}).model_dump_json())
    assert load_run(run.folder).joined is None
    assert "learned for other weights" in caplog.text
    strange = joined.model_dump(mode="json")
    strange["groups"][HISTORY]["first"] = {"horoscope": 1.0}
    path.write_text(json.dumps(strange))
    with pytest.raises(ArtifactError, match="'horoscope' is no part of an order; wanted are cf"):
        load_run(run.folder)
    path.write_text('{"candidates": 3}')
    with pytest.raises(ArtifactError, match=r"ranking\.json is damaged or of another version"):
        load_run(run.folder)
