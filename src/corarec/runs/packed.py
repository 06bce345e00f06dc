"""Packed runs: what a folder of one holds is checked, and an archive of one is opened with care."""

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from corarec.errors import ArtifactError
from corarec.files import read_json, sha256
from corarec.runs.layout import CONFIG, PACK
from corarec.types import Config

MOST_MEMBERS = 10_000
MOST_GROWTH = 50
"""An archive may unpack to so many times its own size; tables and weights do not come near."""
FREE_BYTES = 16 * 2**20
"""What a small archive may unpack to in any case."""
_REFUSED = "Nothing was unpacked. Get the archive again from whoever packed the run."


class PackList(Config):
    """What `pack.json` of a packed run says."""

    format: int = 1
    backbone: str
    """The language model that it needs: a name on the hub, a folder where it was packed, `bundled`,
    or `backbone` where it is packed, too."""
    files: dict[str, str]
    """SHA-256 of every other file."""


def check_packed(folder: Path) -> None:
    """See that a packed run is whole.

    Raises
    ------
    ArtifactError
        A file is missing, changed or unreadable; names it.
    """
    advice = "Copy or unpack the packed run again, or pack it again with `corarec pack`."
    try:
        packed = PackList.model_validate(read_json(folder / PACK))
    except ValidationError as error:
        raise ArtifactError(f"{folder / PACK} is damaged. {advice}") from error
    for name, digest in packed.files.items():
        path = folder / name
        if not _is_inside(name) or path.is_symlink() or not path.is_file():
            raise ArtifactError(f"{path}, which {PACK} names, is no file of the run. {advice}")
        if sha256(path) != digest:
            raise ArtifactError(f"{path} is not as it was packed. {advice}")


@contextmanager
def unpacked(run: Path) -> Iterator[Path]:
    """Yield the folder of a run: itself, or what its zip archive holds, for the block.

    An archive is unpacked into the system's temporary folder, and never anything outside of it.

    Raises
    ------
    ArtifactError
        The archive is damaged, holds no run, or holds what no run has: links, names that lead out
        of it, more than it can be meant to hold.
    """
    if not run.is_file():
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="corarec-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        _unpack(run, folder)
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        home = next((place for place in places if (place / CONFIG).is_file()), None)
        if home is None:
            raise ArtifactError(
                f"{run} holds no run: there is no {CONFIG} in it. Make one with `corarec pack RUN`."
            )
        yield home


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check_members(archive, members)
            for member in members:
                place = folder / member.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, place.open("xb") as target:
                    while block := source.read(2**20):
                        target.write(block)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        UnicodeDecodeError,
        FileExistsError,
        NotADirectoryError,
    ) as error:
        raise ArtifactError(
            f"{archive} is no whole zip archive of a run ({error}). Copy it again from where it "
            "was made, or name a run folder."
        ) from error


def _check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    size = archive.stat().st_size
    if len(members) > MOST_MEMBERS:
        raise ArtifactError(
            f"{archive} holds {len(members):,} files, and at most {MOST_MEMBERS:,} are a run's. "
            f"{_REFUSED}"
        )
    total = sum(member.file_size for member in members)
    if total > max(FREE_BYTES, MOST_GROWTH * size):
        raise ArtifactError(
            f"{archive} has {size:,} bytes and would unpack to {total:,}, more than "
            f"{MOST_GROWTH} times as many. {_REFUSED}"
        )
    if sum(member.compress_size for member in members) > size:
        raise ArtifactError(f"{archive} holds files that overlap each other. {_REFUSED}")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if not _is_inside(member.filename):
            raise ArtifactError(
                f"{archive} holds a file called {member.filename!r}, which leads out of the run. "
                f"{_REFUSED}"
            )
        if kind not in (0, stat.S_IFREG):
            raise ArtifactError(f"{archive}: {member.filename!r} is no plain file. {_REFUSED}")
        if member.flag_bits & 0x1:
            raise ArtifactError(
                f"{archive}: {member.filename!r} is encrypted. Unpack the archive yourself and "
                "name the folder."
            )
    names = [member.filename.casefold() for member in members]
    if len(set(names)) < len(names):
        raise ArtifactError(f"{archive} holds two files of one name. {_REFUSED}")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = not any(sign in name for sign in ("\\", ":", "\0"))
    return plain and bool(path.parts) and not path.is_absolute() and ".." not in path.parts
