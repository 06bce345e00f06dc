"""Suites from their files, with the rows of other suites that they use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corarec.benchmark.suite import Row, Suite, Used, unknown_row
from corarec.errors import ConfigError
from corarec.yaml_files import read_yaml


def load_suite(path: Path, seeds: Sequence[int] | None = None) -> Suite:
    """Read a suite from YAML, paths in it made so that they can be opened from here.

    Parameters
    ----------
    seeds
        In place of those of the suite.

    Raises
    ------
    ConfigError
        The file is no suite, or names a file that is not there.
    """
    values = read_yaml(path, "suite")
    if seeds is not None:
        values["seeds"] = list(seeds)
    return _with_used(Suite.parse(values, str(path)), path, [path])


def _with_used(suite: Suite, path: Path, chain: list[Path]) -> Suite:
    """Find the files that a suite names, and take in the rows of the suite that it uses."""
    rows: dict[str, Row] = {}
    for name, row in suite.systems.items():
        found: dict[str, Any] = {}
        if row.recipe is not None:
            found["recipe"] = find_file(row.recipe, path, "recipe")
        if row.use is not None:
            other = find_file(row.use.suite, path, "suite")
            used = _read_used(other, chain)
            if row.use.row not in used.systems:
                raise ConfigError(f"{path}: {unknown_row(row.use.row, used.systems)}")
            found["use"] = _origin(used.systems[row.use.row], row.use.row, other)
            found["published"] = row.published or used.systems[row.use.row].published
        rows[name] = row.model_copy(update=found)
    if suite.use is None:
        return suite.model_copy(update={"systems": rows})
    other = find_file(suite.use, path, "suite")
    used = _read_used(other, chain)
    taken = {
        name: row
        if not row.has_runs
        else Row(use=_origin(row, name, other), published=row.published)
        for name, row in used.systems.items()
    }
    if twice := [name for name in rows if name in taken]:
        raise ConfigError(f"{path}: the row {twice[0]!r} is in {other}, too. Rename it.")
    inherited = {
        key: getattr(used, key) for key in ("seeds", "split") if key not in suite.model_fields_set
    }
    whole = suite.model_copy(update={"systems": taken | rows, **inherited})
    try:
        whole.check_names()
    except ValueError as error:
        raise ConfigError(f"{path}: {error}.") from None
    return whole


def _origin(row: Row, name: str, suite: Path) -> Used:
    """Return where the runs of a row are: those of the suite, or of one that it uses itself."""
    if not row.has_runs:
        raise ConfigError(
            f"{suite}: the row {name!r} has no runs of its own. Use the row that it is made of, "
            "and say here what is to be made of that."
        )
    return row.use or Used(suite=suite, row=name)


def _read_used(path: Path, chain: list[Path]) -> Suite:
    if path.resolve() in {each.resolve() for each in chain}:
        raise ConfigError(f"{chain[-1]}: `use` leads in a circle back to {path}.")
    return _with_used(Suite.parse(read_yaml(path, "suite"), str(path)), path, [*chain, path])


def find_file(path: Path, suite: Path, what: str) -> Path:
    """Return where a file that a suite names is: from the working directory or from the suite.

    Raises
    ------
    ConfigError
        It is in neither place, or another file is in each.
    """
    here, beside = path, suite.parent / path
    found = [place for place in (here, beside) if _is_file(place)]
    if not found:
        places = " nor at ".join(dict.fromkeys(str(place.absolute()) for place in (here, beside)))
        raise ConfigError(f"{suite} names the {what} {path}, which is not at {places}.")
    if len(found) == 2 and not here.samefile(beside):
        raise ConfigError(
            f"{suite} names the {what} {path}, and there are two: {here.resolve()}, seen from the "
            f"working directory, and {beside.resolve()}, seen from the suite. Write a path that "
            "only one has, or a whole one."
        )
    return found[0]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
