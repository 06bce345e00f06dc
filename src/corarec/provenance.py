"""What made a result: the commit of this code, the recipes, the versions of what it stands on."""

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_PACKAGES = ("corarec", "numpy", "peft", "scikit-learn", "torch", "transformers")
NOT_RECORDED = "commit not recorded"


def provenance(recipes: Mapping[str, BaseModel] | None = None) -> dict[str, Any]:
    """Return what a file of results should say about its making.

    Parameters
    ----------
    recipes
        The configs that were run, by name: what is kept of each is a hash of all its values.
    """
    return {
        "commit": commit(),
        "versions": versions(),
        "recipes": {name: recipe_hash(recipe) for name, recipe in (recipes or {}).items()},
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results stand on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


@cache
def code_digest() -> str:
    """Return a digest of every source file of this package, whatever its version is called."""
    folder = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def commit() -> str | None:
    """Return the commit of this code; with `+changes` where files differ from it; None outside git.

    A repository that does not hold this file, such as that of a user who installed the package
    below it, is not asked.
    """
    file = Path(__file__).resolve()
    if not _git(file.parent, "ls-files", "--error-unmatch", file.name):
        return None
    head = _git(file.parent, "rev-parse", "HEAD")
    root = _git(file.parent, "rev-parse", "--show-toplevel")
    if head is None or root is None:
        return None
    changed = _git(Path(root), "status", "--porcelain", "--untracked-files=no", "--", "src")
    return head + ("+changes" if changed else "")


def recipe_hash(recipe: BaseModel) -> str:
    """Return the first twelve digits of the SHA-256 of a config's values."""
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:12]


def made_by(result: Mapping[str, Any]) -> str:
    """Say in a sentence at which commit a file of results was made, and with what."""
    found = result.get("provenance") or {}
    if not found.get("commit"):
        return f"{NOT_RECORDED.capitalize()}."
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"Made at commit {found['commit']} with {versions}."


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
