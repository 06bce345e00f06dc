from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.evaluate.bootstrap import BootstrapConfig, UserBootstrap
from corarec.evaluate.metrics import auc, metrics_named, uauc
from corarec.evaluate.system import SystemPart, resample
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]
CHOSEN = metrics_named(["auc", "uauc"])


def test_values_of_every_seed_and_counts(random_table: MakeTable) -> None:
    first = random_table()
    second = replace(first, scores=first.scores[::-1].copy())
    part = SystemPart([first, second], CHOSEN)
    assert part.values["auc"] == [auc(t.labels, t.scores) for t in (first, second)]
    assert part.values["uauc"] == [uauc(t.user_ids, t.labels, t.scores) for t in (first, second)]
    assert (part.rows, part.positives) == (len(first), first.labels.sum())
    assert part.users == len(np.unique(first.user_ids))
    both = [u for u in np.unique(first.user_ids) if len(set(first.labels[first.user_ids == u])) > 1]
    assert part.users_in_uauc == len(both)


def test_a_draw_of_everybody_once_is_the_mean_over_seeds(random_table: MakeTable) -> None:
    first = random_table()
    second = replace(first, scores=first.scores[::-1].copy())
    part = SystemPart([first, second], CHOSEN)
    once = np.ones((part.users, 1))
    for metric in ("auc", "uauc"):
        expected = np.mean(part.values[metric])
        assert part.resampled(metric, once) == pytest.approx([expected], abs=1e-12)


def test_systems_are_resampled_with_the_same_users(random_table: MakeTable) -> None:
    table = random_table()
    part = SystemPart([table], CHOSEN)
    bootstrap = UserBootstrap(BootstrapConfig(draws=30), part.users, part.rows)
    first, second = resample([part, SystemPart([table], CHOSEN)], bootstrap)
    assert first["auc"].shape == (30,)
    assert first["auc"].std() > 0
    np.testing.assert_array_equal(first["auc"], second["auc"])
    np.testing.assert_array_equal(first["uauc"], second["uauc"])


def test_a_metric_without_a_value_is_not_drawn(make_table: MakeTable) -> None:
    # Each user has one label: AUC has a value, UAUC has none.
    part = SystemPart([make_table([1, 2], [1, 0], [0.2, 0.1])], CHOSEN)
    (draws,) = resample([part], UserBootstrap(BootstrapConfig(draws=3), 2, 2))
    assert list(draws) == ["auc"]
    nothing = SystemPart([make_table([], [], [])], CHOSEN)
    assert resample([nothing], UserBootstrap(BootstrapConfig(draws=3), 0, 0)) == [{}]
