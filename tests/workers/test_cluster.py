"""Pieces on a Ray cluster of two nodes, an actor of which is killed."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.errors import ConfigError, TrainingError
from corarec.workers.crews import Hands
from corarec.workers.parts import Parts
from corarec.workers.pieces import do_pieces

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'corarec[ray]'")
Toy = Callable[..., Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.slow
def test_a_killed_actor_costs_its_piece_only(
    toy: Toy, tmp_path: Path, cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "signs" / "die-once-4").touch()
    work, parts = toy(), Parts.claim(tmp_path / "out.parts", {"of": "toy"})
    crew = Hands(workers=2, ray=cluster).crew(work, parts.folder)
    heard: list[int] = []
    assert sorted(do_pieces(work, parts, crew, heard.append)) == [*range(6)]
    assert sum(heard) == 60
    done = Counter(map(int, (tmp_path / "signs" / "done").read_text().split()))
    assert done == Counter(range(6)) + Counter([4])
    for number in range(6):
        expected = np.array([[number, number**2], [0.1, number / 3]])
        assert parts.read(number).tobytes() == expected.tobytes()
    assert len((tmp_path / "signs" / "opened").read_text().split()) >= 2
    assert capsys.readouterr().out == "", "results alone go there"
    assert not ray.is_initialized()


@pytest.mark.slow
def test_an_error_of_a_piece_names_the_node(toy: Toy, tmp_path: Path, cluster: str) -> None:
    (tmp_path / "signs" / "fail-2").touch()
    work, parts = toy(), Parts.claim(tmp_path / "out.parts", {"of": "toy"})
    crew = Hands(ray=cluster).crew(work, parts.folder)
    with pytest.raises(TrainingError, match=r"piece 2 is no good \(On .*: what is read lies at"):
        list(do_pieces(work, parts, crew, lambda count: None))


def test_a_cluster_that_does_not_answer_is_told_so(toy: Toy, tmp_path: Path) -> None:
    crew = Hands(ray="no address").crew(toy(), tmp_path)
    with pytest.raises(ConfigError, match="No Ray cluster can be used at 'no address'"):
        crew()
