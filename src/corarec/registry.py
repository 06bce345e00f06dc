"""Registries: a class by its name, those that ship and those that other packages bring.

A package of one's own brings a class by an entry point, in its `pyproject.toml`:

    [project.entry-points."corarec.cf_models"]
    mine = "my_package.my_module:MyModel"

The groups are `corarec.cf_models`, `corarec.data_sources`, `corarec.split_rules` and
`corarec.systems`. Its code is imported when its name is first used; if it is broken, nothing but
that name is.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from corarec.errors import ConfigError

T = TypeVar("T")


def plug_ins(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group by name; nothing of them is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return dict(sorted(found.items()))


class Registry(Mapping[str, type[T]], Generic[T]):
    """Classes by name.

    Parameters
    ----------
    what
        What each of them is, for messages: "CF model".
    group
        The group of entry points by which other packages bring more.
    base
        The class that each of them must have as a base.
    built_in
        Those that ship.
    own_name
        Returns the name that a class gives itself, which must be that of its entry point; None
        where classes have none.
    """

    def __init__(
        self,
        what: str,
        group: str,
        base: type[Any],
        built_in: Mapping[str, type[T]],
        own_name: Callable[[type[T]], str] | None = None,
    ) -> None:
        self.what = what
        self.group = group
        self.base = base
        self.built_in = dict(built_in)
        self._own_name = own_name
        self._loaded: dict[str, type[T]] = {}

    @cached_property
    def brought(self) -> dict[str, list[EntryPoint]]:
        """The entry points of other packages by name."""
        return plug_ins(self.group)

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from (name for name in self.brought if name not in self.built_in)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.brought

    def __getitem__(self, name: str) -> type[T]:
        """Return a class, importing it if another package brings it.

        Raises
        ------
        KeyError
            Nobody has the name.
        ConfigError
            Two packages have it, or the one that has it is broken.
        """
        points = self.brought.get(name, [])
        owners = [*(["corarec"] if name in self.built_in else []), *map(_owner, points)]
        if len(owners) > 1:
            raise ConfigError(
                f"The {self.what} {name!r} is in several packages: {', '.join(owners)}. "
                "Uninstall all but one, or have the entry point renamed."
            )
        if name in self.built_in:
            return self.built_in[name]
        if name not in self._loaded:
            (point,) = self.brought[name]
            self._loaded[name] = self._load(point)
        return self._loaded[name]

    def usable(self, warn: Callable[[str], None] = warnings.warn) -> dict[str, type[T]]:
        """Return every class that can be had; `warn` is called with what is wrong with others."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except ConfigError as error:
                warn(str(error))
        return found

    def _load(self, point: EntryPoint) -> type[T]:
        kind: Any
        try:
            kind = point.load()
        except Exception as error:  # it is others' code: it may raise anything
            raise self._broken(point, f"{type(error).__name__}: {error}") from error
        if not (isinstance(kind, type) and issubclass(kind, self.base)):
            wanted = f"{self.base.__module__}.{self.base.__qualname__}"
            raise self._broken(point, f"{kind!r} is no subclass of {wanted}")
        if missing := sorted(getattr(kind, "__abstractmethods__", ())):
            raise self._broken(point, f"{kind.__qualname__} lacks {', '.join(missing)}")
        if self._own_name is not None:
            own = self._own_name(kind)
            if own != point.name:
                raise self._broken(point, f"{kind.__qualname__} calls itself {own!r}")
        found: type[T] = kind
        return found

    def _broken(self, point: EntryPoint, why: str) -> ConfigError:
        return ConfigError(
            f"The {self.what} {point.name!r} of the package {_owner(point)} cannot be used: {why}. "
            f"Its entry point is `{point.name} = {point.value!r}` in the group {self.group}. Mend "
            "or update that package, or uninstall it."
        )


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else f"of {point.value}"
