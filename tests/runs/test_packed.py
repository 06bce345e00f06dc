import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from corarec.errors import ArtifactError
from corarec.runs import load_run
from corarec.runs.pack import pack_run
from corarec.runs.packed import unpacked


@pytest.fixture(scope="module")
def packed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_run(home / "run", tmp_path_factory.mktemp("elsewhere") / "packed").output


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "data.json",
        "pack.json",
        "knowledge/names.json",
        "knowledge/rows.safetensors",
        "cf/model.json",
        "cf/model.safetensors",
        "best/manifest.json",
        "best/adapter_model.safetensors",
    ],
)
@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"{}")])
def test_a_packed_run_of_which_a_file_is_not_as_it_was_is_refused(
    packed: Path, tmp_path: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    shutil.copytree(packed, tmp_path / "copy")
    spoil(tmp_path / "copy" / name)
    with pytest.raises(ArtifactError):
        load_run(tmp_path / "copy")


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        warnings.simplefilter("ignore")  # two files of one name
        for name, content in members:
            opened.writestr(name, content)
    return path


def link(name: str, to: bytes) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return info, to


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../out.txt", b"x")], "leads out of the run"),
        ([("a/../../out.txt", b"x")], "leads out of the run"),
        ([("/out.txt", b"x")], "leads out of the run"),
        ([("..\\out.txt", b"x")], "leads out of the run"),
        ([("C:out.txt", b"x")], "leads out of the run"),
        ([link("config.yaml", b"/etc/passwd")], "is no plain file"),
        ([("a", b"x"), ("A", b"y")], "two files of one name"),
        ([("a", b"x"), ("a/b", b"y")], "no whole zip archive"),
        ([("zeros", bytes(20 * 2**20))], "more than 50 times as many"),
        ([(f"{n}", b"") for n in range(10_001)], "10,001 files"),
        ([("readme.txt", b"x")], "there is no config.yaml in it"),
    ],
)
def test_an_archive_that_is_no_run_leaves_nothing_anywhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    members: list[tuple[str | zipfile.ZipInfo, bytes]],
    message: str,
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = archive(tmp_path / "run.zip", *members)
    with pytest.raises(ArtifactError, match=message):
        load_run(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["run.zip", "temporary"]


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_cut_off_archive_is_refused(packed: Path, tmp_path: Path, keep: float) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "run"), "zip", packed))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ArtifactError, match="no whole zip archive of a run"):
        load_run(path)


def test_damage_inside_an_archive_is_found(packed: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "run"), "zip", packed))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArtifactError):
        load_run(path)


def test_a_run_that_anybody_zipped_opens_with_its_dataset(home: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "mine"), "zip", home, "run"))
    run = load_run(path, home / "world")
    assert run.recommend("7", k=3).equals(load_run(home / "run").recommend("7", k=3))


def test_an_archive_is_unpacked_for_the_block_only(packed: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "run"), "zip", packed))
    with unpacked(path) as folder:
        assert (folder / "config.yaml").is_file()
    assert not folder.exists()
    with unpacked(packed) as folder:
        assert folder == packed
