import numpy as np
import pytest
from scipy.sparse import csr_array

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.cf.statistics.neighbours import CoCounts, neighbours
from corarec.types import Log


def by_hand(rows: KnownRows, known: np.ndarray) -> dict[str, np.ndarray]:
    size = rows.num_items + 1
    shape = (rows.num_users + 1, size)
    liked, rated, left = (np.zeros(shape) for _ in range(3))
    for n in np.flatnonzero(known):
        liked[rows.users[n], rows.items[n]] += rows.labels[n]
        rated[rows.users[n], rows.items[n]] += 1
        left[rows.users[n], rows.items[n]] += rows.running.second[n]
    return {
        "liked": liked.T @ liked,
        "rated_liked": rated.T @ liked,
        "rated": rated.T @ rated,
        "agreement": left.T @ left,
    }


def test_counts_grow_to_those_of_all_rows_before_the_moment(rows: KnownRows) -> None:
    counts = CoCounts(rows, most=rows.num_items)
    for moment in (0, 7, 8, 30, 1_000):
        counts.advance(moment)
        places = counts.slots[1 : rows.num_items]
        for name, wanted in by_hand(rows, rows.times < moment).items():
            found = getattr(counts, name)[np.ix_(places, places)]
            items = slice(1, rows.num_items)
            np.testing.assert_allclose(found, wanted[items, items], atol=1e-4)


@pytest.mark.parametrize("twice", [False, True])
def test_rows_are_put_in_order_once_for_all_moments(
    log: Log, rows: KnownRows, monkeypatch: pytest.MonkeyPatch, twice: bool
) -> None:
    if not twice:
        pairs = np.stack([log.user_ids, log.item_ids], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        rows = KnownRows(log.take(first), rows.num_users, rows.num_items)
    sums: list[csr_array] = []
    of_csr = csr_array.sum_duplicates

    def counted(matrix: csr_array) -> None:
        sums.append(matrix)
        of_csr(matrix)

    monkeypatch.setattr(csr_array, "sum_duplicates", counted)
    counts = CoCounts(rows, most=rows.num_items)
    for moment in (10, 20, 1_000):
        counts.advance(moment)
    assert bool(sums) == twice
    places = np.flatnonzero(counts.slots)
    for name, wanted in by_hand(rows, rows.times < 1_000).items():
        found = getattr(counts, name)[1:, 1:]
        np.testing.assert_allclose(found, wanted[np.ix_(places, places)], atol=1e-4)


def test_items_with_few_rows_are_left_out(rows: KnownRows) -> None:
    counts = CoCounts(rows, most=3)
    counts.advance(1_000)
    assert counts.rated.shape == (4, 4)
    assert not counts.rated[0].any()
    assert not counts.rated[:, 0].any()
    kept = np.flatnonzero(counts.slots)
    often = np.sort(np.bincount(rows.items, minlength=rows.num_items + 1))[-3:]
    assert np.sort(np.bincount(rows.items)[kept]).tolist() == often.tolist()


def test_what_the_other_items_of_the_user_say(rows: KnownRows, asked: Asked) -> None:
    asked = Asked(asked.users, asked.items, np.full(len(asked), 25), asked.histories)
    tables, counts = rows.tables(25), CoCounts(rows, rows.num_items)
    counts.advance(25)
    found = neighbours(rows, counts, asked, tables, tables.residuals, most=200)
    known = rows.times < 25
    table = by_hand(rows, known)
    for n in range(len(asked)):
        i, rate = asked.items[n], tables.item_rates[asked.items[n]]
        own = np.flatnonzero(known & (rows.users == asked.users[n]) & (rows.items != i))
        others = [j for j in asked.histories[n].tolist() if j != i]
        seen = sum(table["rated_liked"][i, j] for j in others)
        both = sum(table["liked"][i, j] for j in others)
        assert found[n, 0] == pytest.approx((both - rate * seen) / (seen + 20), abs=1e-6)
        disliked = [rows.items[row] for row in own if rows.labels[row] == 0]
        seen = sum(table["rated"][i, j] - table["rated_liked"][i, j] for j in disliked)
        both = sum(table["rated_liked"][j, i] - table["liked"][i, j] for j in disliked)
        assert found[n, 1] == pytest.approx((both - rate * seen) / (seen + 20), abs=1e-6)
        weights = np.array(
            [
                table["agreement"][i, rows.items[r]] / (table["rated"][i, rows.items[r]] + 10)
                for r in own
            ]
        )
        said = (weights * tables.residuals[own]).sum() if len(own) else 0.0
        size = np.abs(weights).sum() if len(own) else 0.0
        assert found[n, 2] == pytest.approx(said / (size + 0.3), abs=1e-6)
