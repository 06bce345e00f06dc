"""Who does a work; what an actor does and has, which needs no Ray."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corarec.errors import ConfigError
from corarec.workers.cluster import RayCrew, RayWorker, cpus_each
from corarec.workers.crews import HERE, Hands
from corarec.workers.jobs import written
from corarec.workers.pieces import unpacked

Toy = Callable[..., Any]


def test_one_worker_without_a_cluster_is_this_process() -> None:
    assert HERE.here
    assert not Hands(workers=2).here
    assert not Hands(ray="auto").here


def test_ray_that_is_not_installed_is_named(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'corarec\[ray\]'"):
        RayCrew(toy(), 2, "auto")


@pytest.mark.parametrize(
    ("nodes", "count", "each"),
    [([8], 1, 8), ([8], 3, 2), ([4, 4], 3, 2), ([2, 8], 5, 2), ([3, 3, 3], 4, 1), ([1], 9, 1)],
)
def test_actors_have_as_many_cpus_as_fit(nodes: list[int], count: int, each: int) -> None:
    assert cpus_each(nodes, count) == each


def test_a_cluster_without_cpus_is_refused() -> None:
    with pytest.raises(ConfigError, match="no CPU"):
        cpus_each([0, 0], 1)


def test_an_actor_answers_with_messages(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "signs" / "fail-1").touch()
    actor = RayWorker(written(toy()), [])
    assert actor.open() == [{"remark": "opened"}, {"ready": True}]
    (message,) = actor.piece(2)
    assert unpacked(message).tolist() == [[2, 4], [0.1, 2 / 3]]
    (error,) = actor.piece(1)
    assert error["class"] == "TrainingError"
    assert error["error"].startswith("piece 1 is no good (On ")
