"""Seconds to evaluate 100,000 rows with 1,000 bootstrap draws, on one core where one can be pinned.

    python benchmarks/evaluate_speed.py

Beside it, the time that a plain loop would take: per draw one `roc_auc_score` over the rows and
one per user, timed on a few draws and multiplied. Writes `benchmarks/results/evaluate_speed.json`.
"""

import os
import platform
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from corarec.evaluate import BootstrapConfig, evaluate, user_aucs
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.types import ScoreTable

ROWS, USERS, DRAWS, NAIVE_DRAWS = 100_000, 5_000, 1_000, 2
RESULT = Path(__file__).parent / "results" / "evaluate_speed.json"


def random_table() -> ScoreTable:
    """Make scores of one decimal place too few to be free of ties."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, ROWS)
    return ScoreTable(
        user_ids=generator.integers(1, USERS + 1, ROWS),
        item_ids=generator.integers(1, 3_001, ROWS),
        labels=labels,
        warm=generator.random(ROWS) < 0.6,
        scores=np.round(generator.normal(size=ROWS) + labels, 3),
    )


def naive_draw(table: ScoreTable, generator: np.random.Generator) -> None:
    """Resample users and compute AUC and UAUC with one scikit-learn call per user."""
    by_user = np.split(
        np.argsort(table.user_ids, kind="stable"),
        np.flatnonzero(np.diff(np.sort(table.user_ids))) + 1,
    )
    drawn = [by_user[user] for user in generator.integers(0, len(by_user), len(by_user))]
    rows = np.concatenate(drawn)
    roc_auc_score(table.labels[rows], table.scores[rows])
    for user in drawn:
        if 0 < table.labels[user].sum() < len(user):
            roc_auc_score(table.labels[user], table.scores[user])


def main() -> None:
    """Time, print and write."""
    table = random_table()
    whole_rows = {"warm": table.warm, "cold": ~table.warm}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    start = time.perf_counter()
    user_aucs(table.user_ids, table.labels, table.scores)
    point_s = time.perf_counter() - start

    start = time.perf_counter()
    evaluate(table, parts={}, config=BootstrapConfig(draws=DRAWS))
    all_s = time.perf_counter() - start

    start = time.perf_counter()
    evaluate(table, parts=whole_rows, config=BootstrapConfig(draws=DRAWS))
    parts_s = time.perf_counter() - start

    generator = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(NAIVE_DRAWS):
        naive_draw(table, generator)
    naive_s = (time.perf_counter() - start) / NAIVE_DRAWS * DRAWS

    result = {
        "rows": ROWS,
        "users": USERS,
        "draws": DRAWS,
        "machine": platform.machine(),
        "point_estimate_seconds": round(point_s, 4),
        "all_rows_seconds": round(all_s, 2),
        "all_warm_cold_seconds": round(parts_s, 2),
        "naive_seconds_extrapolated": round(naive_s, 0),
        "naive_over_ours": round(naive_s / all_s, 0),
    }
    for name, value in result.items():
        print(f"{name:32} {value}")
    write_json(RESULT, {"provenance": provenance()} | result)


if __name__ == "__main__":
    main()
