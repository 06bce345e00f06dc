from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from corarec.evaluate import bootstrap as bootstrap_module
from corarec.evaluate.bootstrap import BootstrapConfig, UserBootstrap
from corarec.evaluate.metrics import METRICS, Measured, MetricRows, user_aucs
from corarec.types import FloatArray, IntArray, ScoreTable

MakeTable = Callable[..., ScoreTable]


def measured(name: str, codes: IntArray, labels: IntArray, scores: FloatArray) -> Measured:
    return METRICS[name]().of(MetricRows(codes, labels, scores))


def all_counts(config: BootstrapConfig, users: int, rows: int) -> FloatArray:
    return np.concatenate(list(UserBootstrap(config, users, rows).counts()), axis=1)


def test_every_draw_has_as_many_users_as_there_are() -> None:
    counts = all_counts(BootstrapConfig(draws=30), users=7, rows=20)
    assert counts.shape == (7, 30)
    assert (counts.sum(axis=0) == 7).all()
    assert len(np.unique(counts, axis=1).T) > 20


def test_draws_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BootstrapConfig(draws=30, seed=5)
    whole = all_counts(config, users=7, rows=20)
    assert not np.array_equal(whole, all_counts(BootstrapConfig(draws=30, seed=6), 7, 20))
    monkeypatch.setattr(bootstrap_module, "_BYTES_PER_CHUNK", 8 * 20 * 4)
    assert len(list(UserBootstrap(config, 7, 20).counts())) == 8
    assert np.array_equal(whole, all_counts(config, 7, 20))


def test_weights_equal_copies_of_rows(random_table: MakeTable) -> None:
    table = random_table(rows=300, users=25)
    users, codes = np.unique(table.user_ids, return_inverse=True)
    rows = (codes, table.labels, table.scores)
    counts = all_counts(BootstrapConfig(draws=20, seed=3), len(users), len(table))
    aucs, uaucs = (measured(name, *rows).drawn(counts) for name in ("auc", "uauc"))
    values = user_aucs(codes, table.labels, table.scores)
    for draw in range(20):
        copies = np.repeat(np.arange(len(table)), counts[codes, draw].astype(int))
        assert aucs[draw] == pytest.approx(
            roc_auc_score(table.labels[copies], table.scores[copies]), abs=1e-12
        )
        drawn = np.repeat(values.values, counts[values.user_ids, draw].astype(int))
        assert uaucs[draw] == pytest.approx(drawn.mean(), abs=1e-12)


def test_draws_without_both_labels_are_nan_and_left_out() -> None:
    # User 0 has only a positive, user 1 only a negative: a draw of one user alone has no AUC.
    rows = (np.array([0, 1]), np.array([1, 0]), np.array([1.0, 0.0]))
    draws = measured("auc", *rows).drawn(np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
    np.testing.assert_array_equal(draws, [np.nan, 1.0, np.nan])
    assert np.isnan(measured("uauc", *rows).drawn(np.ones((2, 1)))).all()
    bootstrap = UserBootstrap(BootstrapConfig(), 2, 2)
    assert bootstrap.interval(draws) == (1.0, 1.0)
    assert bootstrap.interval(np.full(3, np.nan)) is None


def test_interval_is_made_of_percentiles() -> None:
    bootstrap = UserBootstrap(BootstrapConfig(level=0.9), 2, 2)
    assert bootstrap.interval(np.arange(101.0)) == pytest.approx((5.0, 95.0))


def simulated_world(generator: np.random.Generator) -> tuple[IntArray, IntArray, FloatArray]:
    """60 users with 12 rows each; a user's taste and a user's mood shift all of its rows."""
    taste = generator.normal(size=(60, 12))
    scores = taste + generator.normal(scale=2, size=(60, 1))
    labels = (taste + generator.normal(scale=2, size=(60, 1)) > 0).astype(np.int64)
    return np.repeat(np.arange(60), 12), labels.ravel(), scores.ravel()


def test_intervals_cover_the_truth() -> None:
    truth_draws = [simulated_world(np.random.default_rng(10_000 + n)) for n in range(400)]
    truth = np.mean([roc_auc_score(labels, scores) for _, labels, scores in truth_draws])
    covered, widths, values = 0, [], []
    for world in range(100):
        codes, labels, scores = simulated_world(np.random.default_rng(world))
        auc = measured("auc", codes, labels, scores)
        bootstrap = UserBootstrap(BootstrapConfig(draws=200), 60, len(codes))
        draws = np.concatenate([auc.drawn(counts) for counts in bootstrap.counts()])
        low, high = bootstrap.interval(draws) or (1.0, 0.0)
        covered += low <= truth <= high
        widths.append(high - low)
        values.append(roc_auc_score(labels, scores))
    assert 88 <= covered <= 99
    # Covering is easy for wide intervals: these are as wide as the statistic varies over worlds.
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(values, ddof=1), rel=0.2)


def test_resampling_users_is_wider_than_resampling_rows() -> None:
    codes, labels, scores = simulated_world(np.random.default_rng(0))
    by_user = measured("auc", codes, labels, scores)
    by_row = measured("auc", np.arange(len(codes)), labels, scores)
    config = BootstrapConfig(draws=300)
    user_draws = by_user.drawn(all_counts(config, 60, len(codes)))
    row_draws = by_row.drawn(all_counts(config, len(codes), len(codes)))
    assert user_draws.std() > 1.2 * row_draws.std()
