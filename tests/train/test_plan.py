import numpy as np

from corarec.train.plan import BatchPlan


def test_every_row_occurs_once_per_epoch() -> None:
    plan = BatchPlan(np.arange(12), batch_size=3, seed=0)
    for epoch in range(3):
        rows = np.concatenate([plan[epoch * 4 + n] for n in range(4)])
        assert sorted(rows) == list(range(12))


def test_a_batch_follows_from_seed_and_number_alone() -> None:
    lengths = np.random.default_rng(0).integers(0, 50, 1000)
    straight, jumped = BatchPlan(lengths, 8, seed=5), BatchPlan(lengths, 8, seed=5)
    wanted = [straight[n].tolist() for n in range(300)]
    assert jumped[299].tolist() == wanted[299]
    assert jumped[7].tolist() == wanted[7]
    assert BatchPlan(lengths, 8, seed=6)[7].tolist() != wanted[7]


def test_rows_of_like_length_share_a_batch_and_batches_come_in_random_order() -> None:
    lengths = np.random.default_rng(1).permutation(4000)
    plan = BatchPlan(lengths, batch_size=20, seed=0)
    spreads = [np.ptp(lengths[plan[n]]) for n in range(200)]
    assert np.mean(spreads) < 4000 / 20
    means = [lengths[plan[n]].mean() for n in range(50)]
    assert means != sorted(means)


def test_fewer_rows_than_a_batch_and_a_last_batch_that_does_not_fill() -> None:
    assert sorted(BatchPlan(np.zeros(3, np.int64), batch_size=8, seed=0)[5]) == [0, 1, 2]
    plan = BatchPlan(np.zeros(10, np.int64), batch_size=4, seed=0)
    left_out = [set(range(10)) - set(plan[2 * e]) - set(plan[2 * e + 1]) for e in range(6)]
    assert all(len(rows) == 2 for rows in left_out)
    assert len(set.union(*left_out)) > 2
