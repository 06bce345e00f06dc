"""A service that is told every row after it scored it answers as the offline evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.data import Dataset
from corarec.recipe import RunConfig
from corarec.runs import load_run
from corarec.runs.live import Kind, LiveRun
from corarec.score.scorer import Scorer
from corarec.train import train_run

FEW = {"leaf_rows": 10, "rounds": 5, "bags": 1}
STATISTICS: dict[str, Any] = {"model": "statistics", "options": FEW}
POPULARITY: dict[str, Any] = {"model": "popularity", "options": {"latest": 0.5}}
CHANGES: dict[str, dict[str, Any]] = {
    "train": {},
    "sequence": {"cf": {"model": "sasrec", "options": {"embedding_size": 4, "max_epochs": 2}}},
    "snapshot": {"knowledge": "snapshot", "cf": STATISTICS},
    "streaming": {"knowledge": "streaming", "cf": STATISTICS},
    "streaming popularity": {"knowledge": "streaming", "cf": POPULARITY},
    "no CF": {"system": {"name": "icl"}, "cf": None},
}


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("train", "streaming") else pytest.param(name, marks=pytest.mark.slow)
        for name in CHANGES
    ],
)
def test_a_replay_scores_as_the_offline_evaluation(
    name: str, recipe: dict[str, Any], tmp_path: Path
) -> None:
    few = {"steps": 2, "validate_every": 2}
    changed = {**recipe, **CHANGES[name], "train": recipe["train"] | few}
    if "system" in CHANGES[name]:
        changed["system"] = recipe["system"] | CHANGES[name]["system"]
        del changed["system"]["rank"]
    changed = {key: value for key, value in changed.items() if value is not None}
    train_run(RunConfig.parse(changed, "recipe"), tmp_path / "run")
    offline = load_run(tmp_path / "run")
    data = offline.dataset
    wanted = Scorer(offline.recommender).score(data.pairs("test"))
    found, of_cf = replayed(tmp_path / "run", data, follow=name.startswith("streaming"))
    np.testing.assert_allclose(found[::5], wanted[::5], atol=1e-5)
    if offline.cf is not None:
        # Where so little was trained the vectors hardly move the answer, so they are held apart.
        np.testing.assert_allclose(of_cf, offline.cf.score(data.pairs("test")), atol=1e-6)


def replayed(folder: Path, data: Dataset, *, follow: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of every fifth test row, and of all those of CF.

    Each is scored before it is told.
    """
    rows = data.interactions
    test = data.rows("test")
    begin = int(rows["timestamp"].to_numpy()[test].min())
    live = LiveRun.open(folder, live=follow, until=begin)
    later = np.flatnonzero(rows["timestamp"].to_numpy() >= begin)
    order = later[np.argsort(rows["timestamp"].to_numpy()[later], kind="stable")]
    places = {row: place for place, row in enumerate(test.tolist())}
    scores, of_cf = (np.full(len(test), np.nan) for _ in range(2))
    for row in order.tolist():
        one = rows.row(row, named=True)
        user_id, item_id, time = one["user_id"], one["item_id"], one["timestamp"]
        user = data.user_vocabulary.raw(np.array([user_id]))[0]
        item = data.item_vocabulary.raw(np.array([item_id]))[0]
        if row in places:
            if places[row] % 5 == 0:
                (scored,) = live.score([(user, item)], time=time)
                scores[places[row]] = scored.score
            if live.run.cf is not None:
                pair = [(live.context(user, time=time), np.array([item_id]))]
                (of_cf[places[row]],) = live.run.cf.score(live.join(pair, time=time))
        kind: Kind = "like" if one["label"] else "dislike"
        live.record(user, item, kind, time, one["rating"])
    return scores, of_cf
