import numpy as np
import pytest

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.cf.statistics import ridge as module
from corarec.cf.statistics.ridge import ridge


@pytest.mark.parametrize("rows_at_once", [7, 8_192])
@pytest.mark.parametrize("with_offsets", [False, True])
def test_it_is_the_regression_over_the_known_rows(
    rows: KnownRows,
    asked: Asked,
    rows_at_once: int,
    with_offsets: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows_at_once)
    random = np.random.default_rng(0)
    table = random.standard_normal((rows.num_items + 1, 3))
    targets = random.standard_normal(len(rows))
    offsets = random.standard_normal(len(asked)) if with_offsets else None
    found = ridge(table, rows, targets, asked, 2.0, offsets)
    for n in range(len(asked)):
        known = (rows.users == asked.users[n]) & (rows.times < asked.until[n])
        x = table[rows.items[known]]
        t = targets[known] - (0 if offsets is None else offsets[n])
        weights = np.linalg.solve(x.T @ x + 2 * np.eye(3), x.T @ t)
        assert found[n] == pytest.approx(table[asked.items[n]] @ weights, abs=1e-9)
