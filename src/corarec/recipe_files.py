"""A recipe's file and those it extends, as one set of keys."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corarec.errors import ConfigError
from corarec.yaml_files import parse_yaml, read_yaml

EXTENDS = "extends"
DEEPEST = 10
"""Files in one chain at most."""

KeyPath = tuple[Any, ...]
"""The keys from the top of a recipe down to one value."""


@dataclass
class RecipeKeys:
    """The keys of a recipe with those of its bases, and where each was said."""

    path: Path
    """The recipe itself."""
    values: dict[str, Any] = field(default_factory=dict)
    """All keys, without `extends`."""
    origins: dict[KeyPath, Path | str] = field(default_factory=dict)
    """The file, or the override, that had the last word on a key."""

    def override(self, text: str) -> None:
        """Set one value as `KEY.KEY=VALUE` says, the value in YAML; see `set`.

        Raises
        ------
        ConfigError
            It is no such text, or as `set`.
        """
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"The override {text!r} has no value; write it as {key}=VALUE.")
        origin = f"the override {text!r}"
        self.set(key, parse_yaml(value, f"The value of {origin}"), origin)

    def set(self, key: str, value: Any, origin: str) -> None:
        """Set what stands at a dotted key; `origin` says in errors who did.

        In a list, a key is the `name` of an entry or, where none has that name, its number from 1
        on.

        Raises
        ------
        ConfigError
            A part of the key is empty, or it goes below a plain value or to no entry of a list.
        """
        what = origin[0].upper() + origin[1:]
        *parents, last = keys = key.split(".")
        if not all(keys):
            raise ConfigError(f"{what} has an empty name; write KEY.KEY=VALUE.")
        node: Any = self.values
        for parent in parents:
            if isinstance(node, list):
                node = _entry(node, parent, what)
            else:
                if node.get(parent) is None:
                    node[parent] = {}
                node = node[parent]
            if not isinstance(node, dict | list):
                raise ConfigError(f"{what} goes below {parent!r}, a plain value.")
        if isinstance(node, list):
            raise ConfigError(f"{what} is of a whole entry of a list; write {key}.KEY=VALUE.")
        node[last] = value
        self._said_by(tuple(keys), origin)

    def folder_of(self, key: str) -> Path:
        """Return the folder of the file that gave a top key: its relative paths begin there."""
        origin = self.origins.get((key,), self.path)
        return (origin if isinstance(origin, Path) else self.path).parent

    def place(self, location: KeyPath) -> str:
        """Return where the value at a pydantic `location` was said, if not in the recipe itself.

        A location also names the kinds that a union was told apart by; they are no keys.
        """
        node: Any = self.values
        keys: KeyPath = ()
        for step in location:
            if isinstance(node, dict) and step in node:
                keys, node = (*keys, step), node[step]
        while keys and keys not in self.origins:
            keys = keys[:-1]
        origin = self.origins.get(keys, self.path)
        return "" if origin == self.path else f"from {origin}"

    def put(self, values: dict[str, Any], origin: Path) -> None:
        """Put the keys of a file over those that are there."""
        self._merge(self.values, values, (), origin)

    def _merge(
        self, below: dict[Any, Any], above: dict[Any, Any], keys: KeyPath, origin: Path
    ) -> None:
        for key, value in above.items():
            here = (*keys, key)
            if value is None and key in below:
                del below[key]
                self._said_by(here, origin)
            elif isinstance(value, dict):
                if not isinstance(below.get(key), dict):
                    below[key] = {}
                    self._said_by(here, origin)
                self.origins[here] = origin
                self._merge(below[key], value, here, origin)
            else:
                below[key] = value
                self._said_by(here, origin)

    def _said_by(self, keys: KeyPath, origin: Path | str) -> None:
        for other in [other for other in self.origins if other[: len(keys)] == keys]:
            del self.origins[other]
        self.origins[keys] = origin


def read_recipe(path: Path, what: str) -> RecipeKeys:
    """Read a recipe whose key `extends`, a path seen from the file, may name another one.

    A mapping adds its keys to those of the base, any other value replaces the base's, and null
    takes a key of the base away. A base may extend another one.

    Raises
    ------
    ConfigError
        A file is missing or no YAML of keys, or `extends` names no file, leads in a circle or
        through too many files; the message calls a file `what`.
    """
    chain: list[tuple[Path, dict[str, Any]]] = []
    following: Path | None = path
    seen: set[Path] = set()
    while following is not None:
        values = _read(following, what, chain[-1][0] if chain else None)
        seen.add(following.resolve())
        chain.append((following, values))
        following = _base(following, values, seen)
        if len(chain) == DEEPEST and following is not None:
            raise ConfigError(
                f"{path} extends more than {DEEPEST - 1} files, one the next; the last is "
                f"{chain[-1][0]}. Join some of them."
            )
    keys = RecipeKeys(path)
    for file, values in reversed(chain):
        keys.put(values, file)
    return keys


def _entry(entries: list[Any], name: str, what: str) -> Any:
    """Return the entry of a list that has this `name` or number, such as a phase of a training."""
    named = {
        e["name"]: e for e in entries if isinstance(e, dict) and isinstance(e.get("name"), str)
    }
    if name in named:
        return named[name]
    if re.fullmatch(r"[1-9][0-9]{0,5}", name) and int(name) <= len(entries):
        return entries[int(name) - 1]
    known = ", ".join(named) or "no entries with a name"
    raise ConfigError(f"{what} names {name!r} in a list that has {known}.")


def _read(path: Path, what: str, extending: Path | None) -> dict[str, Any]:
    try:
        return read_yaml(path, what)
    except ConfigError as error:
        if extending is None:
            raise
        raise ConfigError(f"{error} ({extending} extends it.)") from error


def _base(path: Path, values: dict[str, Any], seen: set[Path]) -> Path | None:
    """Return the file that `values` extend, and take the key out of them."""
    if EXTENDS not in values:
        return None
    base = values.pop(EXTENDS)
    if not isinstance(base, str):
        raise ConfigError(
            f"{path}: `extends` is {base!r}, where the path of one recipe was wanted; that one may "
            "extend another."
        )
    following = path.parent / base
    try:
        circle = following.resolve() in seen
    except (OSError, ValueError, RuntimeError):
        return following  # reading it says what is wrong
    if circle:
        raise ConfigError(f"{path}: `extends: {base}` leads in a circle. Name another recipe.")
    return following
