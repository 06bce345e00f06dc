import shutil
from pathlib import Path

import numpy as np
import pytest

from corarec.benchmark.ranking import PERFECT, POPULARITY, RECENT, rank_run, ranked_users
from corarec.benchmark.test_log import read_test_evaluations
from corarec.benchmark.unseen import UnseenItems
from corarec.errors import ConfigError
from corarec.evaluate import BootstrapConfig, RankingConfig, RankingTable
from corarec.files import read_json
from corarec.runs import Run, load_run

FEW = BootstrapConfig(draws=50)
AT_5 = RankingConfig(cutoffs=(5,))


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("ranking") / "run"
    shutil.copytree(trained_run, folder)
    return load_run(folder)


@pytest.fixture(scope="module")
def unseen_items(run: Run) -> UnseenItems:
    return UnseenItems(run.dataset, "test", run.cf, candidates=8)


@pytest.fixture(scope="module")
def user(run: Run) -> int:
    return int(ranked_users(run.dataset, "test")[0])


def test_a_run_is_ranked_beside_its_cf_model_and_popularity(run: Run) -> None:
    scored: list[int] = []
    result = rank_run(run, "test", candidates=8, config=AT_5, bootstrap=FEW, progress=scored.append)
    assert [system.name for system in result.systems] == ["cora", "mf-b alone"]
    assert [reference.name for reference in result.references] == [POPULARITY, RECENT, PERFECT]
    assert [pair.second for pair in result.comparisons] == ["mf-b alone", POPULARITY, RECENT]
    users = ranked_users(run.dataset, "test")
    assert sum(scored) == 8 * len(users)
    values = {of.name: of.metrics["ndcg@5"].value for of in [*result.systems, *result.references]}
    assert values[PERFECT] >= max(values["cora"], values["mf-b alone"])
    difference = result.comparisons[0].metrics["ndcg@5"].value
    assert difference == pytest.approx(values["cora"] - values["mf-b alone"])
    kept = read_json(run.folder / "results" / "test-ranking.json")
    assert RankingTable.model_validate(kept) == result
    (look,) = read_test_evaluations(run.folder)
    assert look.metrics["ndcg@5"] == values["cora"]


def test_users_with_and_without_history_stand_apart(run: Run) -> None:
    result = rank_run(run, "valid", candidates=3, config=AT_5, bootstrap=FEW)
    whole, parts = result.systems[0], result.parts
    assert list(parts) == ["with history", "without history"]
    users = [part.systems[0].users for part in parts.values()]
    assert sum(users) == whole.users
    assert min(users) > 0
    means = [part.systems[0].metrics["ndcg@5"].value for part in parts.values()]
    assert np.average(means, weights=users) == pytest.approx(whole.metrics["ndcg@5"].value)
    assert 0 < whole.coverage["coverage@5"] <= 1
    assert whole.metrics["novelty@5"].value > 0


def test_recent_popularity_counts_the_latest_fifth_of_train(run: Run) -> None:
    rows = run.dataset.interactions.filter(run.dataset.interactions["split"] == "train")
    times = np.sort(rows["timestamp"].to_numpy())
    late = rows.filter((rows["timestamp"] >= times[int(len(times) * 0.8)]) & (rows["label"] == 1))
    counts = run.dataset.recent_popularity
    assert counts.sum() == len(late)
    item = int(late["item_id"][0])
    assert counts[item] == (late["item_id"] == item).sum()
    user = int(ranked_users(run.dataset, "test")[0])
    order = UnseenItems(run.dataset, "test", None, 5).recent(user)
    assert (np.diff(counts[order]) <= 0).all()


def test_no_candidates_are_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="candidates is 0; wanted is at least 1"):
        rank_run(run, "valid", candidates=0)


def test_an_order_holds_every_unseen_item_once(
    run: Run, unseen_items: UnseenItems, user: int
) -> None:
    before = run.dataset.interactions.filter(
        (run.dataset.interactions["user_id"] == user)
        & (run.dataset.interactions["split"] != "test")
    )
    unseen = np.setdiff1d(np.arange(1, run.dataset.num_items + 1), before["item_id"].to_numpy())
    orders = [
        unseen_items.collaborative(user),
        unseen_items.popular(user),
        unseen_items.perfect(user),
    ]
    orders.append(unseen_items.reranked(run.scorer, user))
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), unseen)


def test_only_the_candidates_change_places(run: Run, unseen_items: UnseenItems, user: int) -> None:
    first, new = unseen_items.collaborative(user), unseen_items.reranked(run.scorer, user)
    np.testing.assert_array_equal(new[8:], first[8:])
    scores = run.scorer.score_items(unseen_items.context(user), new[:8])
    assert (np.diff(scores) <= 1e-4).all()


def test_a_user_stands_where_the_part_begins(
    run: Run, unseen_items: UnseenItems, user: int
) -> None:
    of_user = run.dataset.interactions["user_id"] == user
    before = run.dataset.interactions.filter(
        of_user & (run.dataset.interactions["split"] != "test")
    )
    liked = before.filter(before["label"] == 1)["item_id"].to_list()
    pairs = unseen_items.context(user).pairs(np.array([3, 4]))
    assert pairs.histories[0].tolist() == pairs.histories[1].tolist() == liked


def test_popularity_counts_likes_of_the_training_part(run: Run) -> None:
    rows = run.dataset.interactions
    item = int(rows["item_id"][0])
    wanted = rows.filter((rows["item_id"] == item) & (rows["split"] == "train"))["label"].sum()
    assert run.dataset.popularity[item] == wanted
    assert run.dataset.popularity[0] == 0


def test_users_can_be_drawn(run: Run) -> None:
    everyone = ranked_users(run.dataset, "test")
    some = ranked_users(run.dataset, "test", 5)
    assert len(some) == 5
    assert set(some) < set(everyone)
    np.testing.assert_array_equal(some, ranked_users(run.dataset, "test", 5))
    result = rank_run(run, "valid", candidates=3, max_users=5, config=AT_5, bootstrap=FEW)
    assert result.systems[0].users + result.systems[0].users_left_out == 5
