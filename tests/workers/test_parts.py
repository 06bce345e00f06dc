"""The folder of finished parts: whole parts, of one work, and nothing of a user's."""

from pathlib import Path

import numpy as np
import pytest

from corarec.errors import ArtifactError, InUseError
from corarec.workers.parts import Parts


def test_parts_are_kept_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    parts = Parts.claim(tmp_path / "out.parts", {"run": "a"})
    for number in range(3):
        parts.write(number, np.arange(number, dtype=np.float64))
    damaged = tmp_path / "out.parts" / "000000001.npy"
    damaged.write_bytes(damaged.read_bytes()[:20])
    again = Parts.claim(tmp_path / "out.parts", {"run": "a"})
    assert again.done() == {0, 2}
    assert again.read(2).tolist() == [0.0, 1.0]
    with pytest.raises(ArtifactError, match=r"000000001.npy is gone or damaged"):
        again.read(1)
    again.forget(0)
    assert again.done() == {2}


def test_parts_of_another_work_are_discarded(tmp_path: Path) -> None:
    Parts.claim(tmp_path / "out.parts", {"run": "a"}).write(0, np.ones(1))
    assert Parts.claim(tmp_path / "out.parts", {"run": "b"}).done() == set()
    (tmp_path / "out.parts" / "source.json").write_text("{")
    Parts.claim(tmp_path / "out.parts", {"run": "b"})
    assert [path.name for path in tmp_path.iterdir()] == ["out.parts"]


@pytest.mark.parametrize("name", ["notes.txt", "1.npy", "source.json.bak"])
def test_a_file_of_the_user_is_never_touched(tmp_path: Path, name: str) -> None:
    Parts.claim(tmp_path / "out.parts", {"run": "a"}).write(0, np.ones(1))
    (tmp_path / "out.parts" / name).write_text("mine")
    before = sorted((tmp_path / "out.parts").iterdir())
    for owner in ("a", "b"):
        with pytest.raises(ArtifactError, match=f"{name} there is not from corarec"):
            Parts.claim(tmp_path / "out.parts", {"run": owner})
    assert sorted((tmp_path / "out.parts").iterdir()) == before


def test_parts_go_when_the_work_is_done_and_stay_when_it_fails(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(RuntimeError), Parts.held(output, "It", {}) as parts:
        parts.write(0, np.ones(1))
        raise RuntimeError
    with Parts.held(output, "It", {}) as parts:
        assert parts.done() == {0}
        with pytest.raises(InUseError, match="It is in use"), Parts.held(output, "It", {}):
            pass
    assert list(tmp_path.iterdir()) == []
