"""What may be replaced: only what corarec wrote, as it wrote it, and never what it reads.

Every folder that corarec makes holds a marker, `.corarec.json`, with its kind and the SHA-256 of
every file. A folder is replaced only where its marker names the same kind and all in it is as the
marker says.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from corarec.errors import ConfigError
from corarec.system_errors import storage_errors

MARKER = ".corarec.json"
_FORMAT = 1
_SHOWN = 3


def mark(folder: Path, kind: str) -> None:
    """Write the marker of a folder that is complete."""
    files = {name: _digest(folder / name) for name in sorted(_names(folder))}
    content = {"written_by": "corarec", "format": _FORMAT, "kind": kind, "files": files}
    (folder / MARKER).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def check_replaceable(path: Path, kind: str) -> None:
    """See that a folder of this kind can be written at `path` without a loss.

    Raises
    ------
    ConfigError
        What stands there is not free, not empty, and not a folder of the same kind just as corarec
        wrote it.
    """
    with storage_errors(path):
        reason = why_kept(path, kind)
    if reason:
        raise ConfigError(
            f"{path} {reason}. Nothing was changed. Choose another place, or move or delete what "
            "is there yourself."
        )


def why_kept(path: Path, kind: str) -> str | None:
    """Return why what stands at `path` may not be replaced; `None` where it may."""
    if not path.exists():
        return None
    if not path.is_dir():
        return f"is a file, and a folder ({kind}) is to be written there"
    if not any(path.iterdir()):
        return None
    marker = _read(path)
    if marker is None:
        return f"is a folder with files that corarec did not write, or has no whole {MARKER}"
    if marker["kind"] != kind:
        return f"holds another thing that corarec made ({marker['kind']}, not {kind})"
    there = set(_names(path))
    if foreign := sorted(there - set(marker["files"])):
        return f"holds files that corarec did not write: {_some(foreign)}"
    changed = [name for name in sorted(there) if _digest(path / name) != marker["files"][name]]
    if changed:
        return f"holds files that were changed since corarec wrote them: {_some(changed)}"
    return None


def check_inputs_survive(output: Path, inputs: Iterable[Path]) -> None:
    """See that no input is lost when `output`, a file or a folder, is written.

    Raises
    ------
    ConfigError
        The output is one of the inputs, by whatever name or link, or a folder around one.
    """
    place = Path(os.path.realpath(output))
    for source in inputs:
        same = output.exists() and source.exists() and output.samefile(source)
        if same or place in (real := Path(os.path.realpath(source)), *real.parents):
            raise ConfigError(
                f"The output {output} would overwrite the input {source}. Nothing was changed. "
                "Choose another output."
            )


def paths_in(values: Any) -> Iterator[Path]:
    """Yield every path in nested options, such as those of a config."""
    if isinstance(values, Path):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from paths_in(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from paths_in(value)


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / MARKER).read_text("utf-8"))
        ours = content["written_by"] == "corarec" and content["format"] == _FORMAT
        whole = isinstance(content["kind"], str) and isinstance(content["files"], dict)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return content if ours and whole else None


def _names(folder: Path) -> Iterator[str]:
    """Yield what is in a folder but its marker, empty folders and links as names of their own."""
    for path in folder.rglob("*"):
        is_tree = path.is_dir() and not path.is_symlink()
        if is_tree and any(path.iterdir()):
            continue
        name = path.relative_to(folder).as_posix()
        if name != MARKER:
            yield name + "/" * is_tree


def _digest(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "not a file"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
