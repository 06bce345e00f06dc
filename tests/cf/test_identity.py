from pathlib import Path

import pytest

from corarec.cf.identity import IDENTITY_FILE, Identity, check_files, digests, read_identity
from corarec.errors import ArtifactError


def test_a_strange_identity_is_refused(tmp_path: Path) -> None:
    (tmp_path / IDENTITY_FILE).write_text("[]")
    with pytest.raises(ArtifactError, match="should hold 'model', 'config', 'dataset' and 'files'"):
        read_identity(tmp_path)


def test_files_are_those_of_the_identity(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "table").write_text("1")
    identity = Identity(model="mf", config={}, files=digests(tmp_path))
    assert list(identity.files) == ["deep/table"]
    check_files(tmp_path, identity)
    (tmp_path / "deep" / "table").write_text("2")
    with pytest.raises(ArtifactError, match=r"deep.table is cut off or damaged, or belongs to"):
        check_files(tmp_path, identity)
    (tmp_path / "deep" / "table").unlink()
    with pytest.raises(ArtifactError, match="deep.table does not exist"):
        check_files(tmp_path, identity)
