from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.data.sources.synthetic import Synthetic, synthetic_world
from corarec.data.sources.synthetic_reviews import MAKING, OPINIONS
from corarec.errors import ConfigError


def world(folder: Path, **options: Any) -> Dataset:
    return prepare(
        PrepareConfig(
            source="synthetic", output=folder / "world", split="published", source_options=options
        )
    )


def title_scores(dataset: Dataset) -> Any:
    """Score by the title's adjective and by the genre match with the history: text alone."""
    genres = np.array(["", *dataset.items["genre"]])
    recent = dataset.pairs(np.arange(len(dataset))).histories.last(10)
    target = genres[dataset.interactions["item_id"].to_numpy()]
    known = (recent > 0).sum(axis=1)
    match = ((genres[recent] == target[:, None]) & (recent > 0)).sum(axis=1) / np.maximum(known, 1)
    words = pl.Series([dataset.titles[i].split()[1] for i in dataset.interactions["item_id"]])
    features = np.column_stack([words.to_dummies().to_numpy(), match])
    train = dataset.rows("train")
    model = LogisticRegression().fit(features[train], dataset.labels(train))
    return model.decision_function(features)


def factor_scores(dataset: Dataset) -> Any:
    """Score by a low-rank fit of the train matrix: interactions alone."""
    table = dataset.interactions
    users, items = table["user_id"].to_numpy(), table["item_id"].to_numpy()
    train = (table["split"] == "train").to_numpy()
    matrix = np.zeros((dataset.num_users + 1, dataset.num_items + 1))
    matrix[users[train], items[train]] = 2 * dataset.labels(np.flatnonzero(train)) - 1
    left, values, right = svds(csr_array(matrix), k=3, rng=np.random.default_rng(0))
    return ((left * values) @ right)[users, items]


def auc(dataset: Dataset, scores: Any) -> float:
    warm_test = dataset.interactions["split"].eq("test") & dataset.interactions["warm"]
    rows = np.flatnonzero(warm_test.to_numpy())
    return float(roc_auc_score(dataset.labels(rows), np.asarray(scores)[rows]))


def test_the_default_world(tmp_path: Path) -> None:
    dataset = world(tmp_path)
    assert (dataset.num_users, dataset.num_items, len(dataset)) == (600, 400, 24_000)
    assert dataset.card.item_noun_plural == "movies"
    assert set(dataset.interactions["rating"].unique()) == {1, 2, 3, 4, 5}
    for counts in dataset.card.counts.values():
        assert 0.4 < counts.positives / counts.rows < 0.6
    assert 0.3 < 1 - dataset.card.counts["test"].warm / dataset.card.counts["test"].rows < 0.5


def test_the_truth_is_calibrated(tmp_path: Path) -> None:
    dataset = world(tmp_path)
    truth = dataset.interactions["true_probability"].to_numpy()
    labels = dataset.labels(np.arange(len(dataset)))
    for low in np.arange(0, 1, 0.2):
        rows = (truth >= low) & (truth < low + 0.2)
        assert labels[rows].mean() == pytest.approx(truth[rows].mean(), abs=0.03)
    assert 0.82 < roc_auc_score(labels, truth) < 0.92


def test_each_signal_can_be_learned_alone(tmp_path: Path) -> None:
    dataset = world(tmp_path)
    assert auc(dataset, title_scores(dataset)) > 0.68
    assert auc(dataset, factor_scores(dataset)) > 0.63


def test_without_text_strength_titles_tell_nothing(tmp_path: Path) -> None:
    dataset = world(tmp_path, text_strength=0)
    assert auc(dataset, title_scores(dataset)) == pytest.approx(0.5, abs=0.04)
    assert auc(dataset, factor_scores(dataset)) > 0.63


def test_without_collaborative_strength_titles_tell_all(tmp_path: Path) -> None:
    dataset = world(tmp_path, collaborative_strength=0)
    truth = dataset.interactions["true_probability"].to_numpy()
    liked = dict(zip(dataset.users["user_id"], dataset.users["liked_genres"], strict=True))
    genres = dict(zip(dataset.items["item_id"], dataset.items["genre"], strict=True))
    table = dataset.interactions.with_columns(
        likes=pl.struct("user_id", "item_id").map_elements(
            lambda pair: genres[pair["item_id"]] in liked[pair["user_id"]].split("|"),
            return_dtype=pl.Boolean,
        ),
        word=pl.Series([dataset.titles[i].split()[1] for i in dataset.interactions["item_id"]]),
    )
    # Genre liked or not and the adjective give the probability: no other differences are left.
    spread = table.group_by("likes", "word").agg(pl.col("true_probability").std())
    assert spread["true_probability"].max() == pytest.approx(0, abs=1e-12)
    words = table.to_dummies("word").select(pl.col("^word_.*$"), "likes").to_numpy()
    model = LogisticRegression().fit(words, dataset.labels(np.arange(len(dataset))))
    assert np.corrcoef(model.decision_function(words), np.log(truth / (1 - truth)))[0, 1] > 0.99


def test_noise_makes_the_world_less_certain() -> None:
    truth = [
        synthetic_world(Synthetic(noise=noise)).interactions.collect()["true_probability"]
        for noise in (0.5, 1.0, 4.0)
    ]
    spread = [(probability - 0.5).abs().mean() for probability in truth]
    assert spread[0] > spread[1] > spread[2]  # type: ignore[operator]


def test_cold_users_and_items_are_not_in_train(tmp_path: Path) -> None:
    dataset = world(tmp_path, num_users=100, num_items=80, cold_users=0.2, cold_items=0.25)
    train = dataset.interactions.filter(pl.col("split") == "train")
    assert train["user_id"].n_unique() <= 80
    assert train["item_id"].n_unique() <= 60
    assert dataset.num_users == 100
    none_cold = world(tmp_path, num_users=100, num_items=60, cold_users=0, cold_items=0)
    assert all(counts.warm == counts.rows for counts in none_cold.card.counts.values())


def test_nobody_meets_an_item_twice() -> None:
    table = synthetic_world(Synthetic(num_users=50)).interactions.collect()
    assert not table.select("user", "item").is_duplicated().any()


def test_the_seed_makes_the_world() -> None:
    first, again, other = (
        synthetic_world(Synthetic(num_users=30, seed=seed)) for seed in (1, 1, 2)
    )
    assert first.interactions.collect().equals(again.interactions.collect())
    assert first.items.equals(again.items)
    assert not first.items.equals(other.items)


def test_titles_are_distinct_and_readable() -> None:
    titles = synthetic_world(Synthetic(num_items=2000)).items["title"]
    assert titles.n_unique() == 2000
    assert titles.str.contains(r"^The [A-Z][a-z]+ [A-Z][a-z]+ \(\d{4}\)$").all()


def test_too_few_items() -> None:
    with pytest.raises(
        ConfigError, match="40 interactions per user need as many items, but only 32"
    ):
        synthetic_world(Synthetic(num_items=40))


def test_an_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="synthetic source reads nothing"):
        Synthetic().load(tmp_path)


def test_reviews_tell_rating_genre_quality_and_taste_and_change_nothing_else(
    tmp_path: Path,
) -> None:
    size = {"num_users": 40, "num_items": 30, "interactions_per_user": 12}
    dataset = world(tmp_path, **size, reviews=True)
    plain = world(tmp_path / "plain", **size)
    assert plain.texts is None
    assert dataset.fingerprint == plain.fingerprint
    assert dataset.texts is not None
    assert dataset.texts["row"].to_list() == list(range(len(dataset)))
    again = world(tmp_path / "again", **size, reviews=True)
    assert again.texts is not None
    assert again.texts.equals(dataset.texts)
    genres = ["", *dataset.items["genre"]]
    liked = ["", *dataset.users["liked_genres"]]
    making: dict[str, set[str]] = {}
    for row, user, item, text in dataset.texts.rows():
        opinion, film, taste = text.removesuffix(".").split(". ")
        assert opinion == OPINIONS[int(dataset.interactions["rating"][row]) - 1]
        genre = film.split()[1]
        assert genre == genres[item]
        assert film.startswith(f"A {genre} film with ")
        making.setdefault(dataset.titles[item].split()[1], set()).add(film.split(", ")[1])
        assert taste.removeprefix("I like ").removesuffix(" films") in liked[user].split("|")
    assert all(len(degrees) == 1 for degrees in making.values())  # of the adjective
    assert set.union(*making.values()) <= set(MAKING)


def test_choosy_users_meet_what_they_like() -> None:
    size: dict[str, Any] = {"num_users": 100, "num_items": 100, "interactions_per_user": 10}
    shares = []
    for choosiness in (0.0, 0.5, 100.0):
        rows = synthetic_world(Synthetic(**size, choosiness=choosiness)).interactions.collect()
        assert not rows.select("user", "item").is_duplicated().any()
        assert len(rows) == 1000
        shares.append(float(rows["true_probability"].to_numpy().mean()))
    assert shares == sorted(shares)
    assert shares[2] > 0.9
