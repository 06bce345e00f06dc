import numpy as np

from corarec.train.plan import BatchPlan, Rounds, UserPlan, plan_of


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


def test_rounds_are_an_epoch_of_each_kind_after_the_other() -> None:
    kinds = np.array([1] * 7 + [0] * 9)
    plan = Rounds(np.zeros(16, np.int64), kinds, batch_size=3, seed=0)
    assert plan.batches_per_round == 3 + 2
    for number in range(2):
        of_round = [plan[5 * number + n] for n in range(5)]
        assert [set(kinds[rows].tolist()) for rows in of_round] == [{0}] * 3 + [{1}] * 2
        assert sorted(np.concatenate(of_round[:3])) == list(range(7, 16))
        assert len(set(np.concatenate(of_round[3:]).tolist())) == 6
    assert plan[0].tolist() != plan[5].tolist()


def test_a_kind_smaller_than_a_batch_is_a_batch() -> None:
    plan = Rounds(np.arange(6), np.array([0, 0, 1, 1, 1, 1]), batch_size=4, seed=0)
    assert [sorted(plan[n].tolist()) for n in range(3)] == [[0, 1], [2, 3, 4, 5], [0, 1]]


def test_examples_of_one_kind_are_batched_as_ever() -> None:
    class Plain:
        lengths = np.arange(12)

    class Mixed(Plain):
        kinds = np.zeros(12, dtype=np.int64)

    plain, mixed = plan_of(Plain(), 4, seed=2), plan_of(Mixed(), 4, seed=2)  # type: ignore[arg-type]
    assert [plain[n].tolist() for n in range(7)] == [mixed[n].tolist() for n in range(7)]
    assert isinstance(plain, BatchPlan)


def test_rows_of_a_user_stand_together_and_every_row_occurs_once() -> None:
    users = np.random.default_rng(0).integers(0, 15, 240)
    lengths = np.random.default_rng(1).integers(5, 50, 240)
    plan = UserPlan(lengths, users, together=4, batch_size=16, seed=0)
    for epoch in range(2):
        batches = [plan[epoch * 15 + n] for n in range(15)]
        assert sorted(np.concatenate(batches)) == list(range(240))
        alone = [len(set(users[rows].tolist())) for rows in batches]
        assert np.mean(alone) < 8  # of 16 rows drawn freely about 10 users
    assert np.concatenate(batches).tolist() != np.concatenate([plan[n] for n in range(15)]).tolist()


def test_batches_of_users_follow_from_seed_and_number_alone() -> None:
    users = np.random.default_rng(0).integers(0, 90, 1000)
    lengths = np.random.default_rng(1).integers(5, 50, 1000)
    straight, jumped = (UserPlan(lengths, users, 3, 8, seed=5) for _ in range(2))
    wanted = [straight[n].tolist() for n in range(300)]
    assert jumped[299].tolist() == wanted[299]
    assert jumped[7].tolist() == wanted[7]
    assert UserPlan(lengths, users, 3, 8, seed=6)[7].tolist() != wanted[7]


def test_examples_with_users_are_batched_by_them() -> None:
    class Compared:
        lengths = np.arange(12)
        users = np.arange(12) % 2
        rows_per_user = 3

    plan = plan_of(Compared(), 3, seed=2)  # type: ignore[arg-type]
    assert isinstance(plan, UserPlan)
    assert all(len(set((plan[n] % 2).tolist())) == 1 for n in range(8))
