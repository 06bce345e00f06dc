"""Which keys of a recipe are tuned, and which values they may take."""

import json
import random
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Self

from pydantic import Field, StrictFloat, StrictInt, model_validator

from corarec.errors import ConfigError
from corarec.extras import needs
from corarec.recipe import RunConfig
from corarec.recipe_files import RecipeKeys, read_recipe
from corarec.types import Config
from corarec.yaml_files import read_yaml

with needs("tune"):
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

Values = dict[str, Any]
"""Dotted key -> value."""

FIXED = ("data", "seed", "system.name", "train.validation_rows", "train.validation_fraction")
"""Keys of which trials may not differ: they say what is measured, and on what."""
LARGEST = 2**53
"""Of the whole numbers of a range; floating point tells larger ones not apart."""
MOST_POINTS = 1_000_000
"""Of a grid."""
_TRIES = 200


class Range(Config):
    """All numbers from `low` to `high`; whole ones where both are whole."""

    low: StrictInt | StrictFloat
    """The smallest value."""
    high: StrictInt | StrictFloat
    """The largest value."""
    log: bool = False
    """Search by order of magnitude, as is usual for learning rates."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}, and with log it must be above 0")
        if self.whole and max(abs(self.low), abs(self.high)) > LARGEST:
            raise ValueError(f"low and high may be {LARGEST:,} at most")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def distribution(self) -> BaseDistribution:
        """Return what Optuna draws from."""
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def value(self, drawn: Any) -> Any:
        """Return the value in a recipe of what was drawn."""
        return drawn

    def drawn(self, value: Any) -> Any:
        """Return what is drawn for a value."""
        return value

    def extremes(self) -> list[Any]:
        """Return values that a recipe must be able to take."""
        return [self.low, self.high]


class Choices(Config):
    """One of several values of any kind."""

    choices: list[Any] = Field(min_length=1, max_length=1_000)
    """The values."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        labels = list(self._labels)
        if twice := [label for number, label in enumerate(labels) if label in labels[:number]]:
            raise ValueError(f"the choice {twice[0]} is given twice")
        return self

    @cached_property
    def _labels(self) -> list[str]:
        """What Optuna sees: a text, as it keeps lists and tells True from 1 in no other way."""
        try:
            return [json.dumps(choice, ensure_ascii=False) for choice in self.choices]
        except TypeError as error:
            raise ValueError(f"a choice is of no kind that a recipe has ({error})") from error

    def distribution(self) -> BaseDistribution:
        """Return what Optuna draws from."""
        return CategoricalDistribution(self._labels)

    def value(self, drawn: Any) -> Any:
        """Return the value in a recipe of what was drawn."""
        return self.choices[self._labels.index(drawn)]

    def drawn(self, value: Any) -> Any:
        """Return what is drawn for a value."""
        return json.dumps(value, ensure_ascii=False)

    def extremes(self) -> list[Any]:
        """Return values that a recipe must be able to take: all."""
        return self.choices


@dataclass(frozen=True)
class Space:
    """A recipe, and the keys of it that are tuned."""

    keys: RecipeKeys
    """The recipe as it stands, overrides applied."""
    axes: Mapping[str, Range | Choices]
    """By dotted key."""
    path: Path
    """The file that says them."""

    @cached_property
    def base(self) -> RunConfig:
        """The recipe as it stands."""
        return RunConfig.parse(self.keys.values, str(self.keys.path), self.keys.place)

    def config(self, values: Values) -> RunConfig:
        """Return the recipe with other values of some keys.

        Raises
        ------
        ConfigError
            There is no such key, or the values do not go together.
        """
        keys = deepcopy(self.keys)
        for key, value in values.items():
            keys.set(key, deepcopy(value), self._origin(key))
        return RunConfig.parse(keys.values, str(self.keys.path), keys.place)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return what Optuna draws from, by key."""
        return {key: axis.distribution() for key, axis in self.axes.items()}

    def values(self, drawn: Mapping[str, Any]) -> Values:
        """Return the values in a recipe of what was drawn."""
        return {key: axis.value(drawn[key]) for key, axis in self.axes.items()}

    def grid(self, seed: int) -> list[dict[str, Any]]:
        """Return every combination as it is drawn, in an order that follows from the seed.

        Raises
        ------
        ConfigError
            A key has a range, or there are too many combinations.
        """
        lists: dict[str, list[Any]] = {}
        for key, axis in self.axes.items():
            if isinstance(axis, Range):
                raise ConfigError(
                    f"{self.path}: {key} has a range, and a grid needs choices. List them as "
                    f"[{axis.low}, {axis.high}], or choose another --sampler."
                )
            lists[key] = [axis.drawn(choice) for choice in axis.choices]
        if (count := prod(map(len, lists.values()))) > MOST_POINTS:
            raise ConfigError(
                f"{self.path} has {count:,} combinations, where a grid of {MOST_POINTS:,} at most "
                "was wanted. Give fewer choices, or choose another --sampler."
            )
        points = [dict(zip(lists, point, strict=True)) for point in product(*lists.values())]
        random.Random(seed).shuffle(points)
        return points

    def check(self) -> None:
        """See that the recipe has every key and can take every value, before any work.

        Values may ask for values of other keys: it is enough that one combination is valid.

        Raises
        ------
        ConfigError
            It cannot.
        """
        self._check_apart()
        fixed = _fixed(self.base)
        for key, axis in self.axes.items():
            for value in axis.extremes():
                changed = [k for k, v in _fixed(self._valid(key, value)).items() if v != fixed[k]]
                if changed:
                    raise ConfigError(
                        f"{self.path}: {key} changes {changed[0]}, of which all trials must have "
                        "the same value, or their scores could not be compared. Set it in the "
                        "recipe, or tune twice."
                    )

    def _valid(self, key: str, value: Any) -> RunConfig:
        """Return a valid recipe in which the key has the value."""
        first: ConfigError | None = None
        for others in self._company(key):
            try:
                return self.config(others | {key: value})
            except ConfigError as error:
                first = first or error
        assert first is not None
        raise first

    def _company(self, key: str) -> Iterator[Values]:
        """Yield values of the other keys: none, all first, all last, and some drawn."""
        others = {k: axis.extremes() for k, axis in self.axes.items() if k != key}
        yield {}
        if not others:
            return
        yield {k: extremes[0] for k, extremes in others.items()}
        yield {k: extremes[-1] for k, extremes in others.items()}
        drawing = random.Random(0)
        for _ in range(_TRIES):
            yield {k: drawing.choice(extremes) for k, extremes in others.items()}

    def _check_apart(self) -> None:
        """See that no key undoes another: it would stand above it, or be it by another name."""
        keys, marks = deepcopy(self.keys), dict[int, str]()
        # The deepest first, so that a key above others takes their marks away.
        for key in sorted(self.axes, key=lambda key: -key.count(".")):
            mark = object()
            keys.set(key, mark, self._origin(key))
            marks[id(mark)] = key
            if lost := set(marks.values()) - {marks.get(id(each)) for each in _leaves(keys.values)}:
                other = min(lost)
                how = "lies inside" if other.startswith(f"{key}.") else "is the same as"
                raise ConfigError(
                    f"{self.path}: {other} {how} {key}, so one would undo the other. Tune one of "
                    "them."
                )

    def _origin(self, key: str) -> str:
        return f"the key {key!r} of {self.path}"


def _leaves(node: Any) -> Iterator[Any]:
    """Yield the plain values of nested mappings and lists."""
    if not isinstance(node, dict | list):
        yield node
        return
    for each in node.values() if isinstance(node, dict) else node:
        yield from _leaves(each)


def load_space(path: Path, recipe: Path, overrides: list[str] | tuple[str, ...] = ()) -> Space:
    """Read a recipe and the file that says which of its keys are tuned, and check both.

    The file holds, by dotted key, `{low: ..., high: ..., log: true}`, `{choices: [...]}`, or just a
    list, the choices.

    Raises
    ------
    ConfigError
        A file is missing or no YAML, or anything in it is unknown or out of bounds.
    """
    keys = read_recipe(recipe, "recipe")
    for override in overrides:
        keys.override(override)
    axes = {key: _axis(key, said, path) for key, said in read_yaml(path, "search space").items()}
    if not axes:
        raise ConfigError(
            f"{path} names no key to tune. Write, for example, "
            "`train.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}`."
        )
    space = Space(keys, axes, path)
    space.check()
    return space


def _axis(key: str, said: Any, path: Path) -> Range | Choices:
    if isinstance(said, list):
        return Choices.parse({"choices": said}, f"{path}: {key}")
    if not isinstance(said, dict):
        raise ConfigError(
            f"{path}: {key} is {said!r}, where a list of values or "
            "{low: ..., high: ..., log: true} was wanted."
        )
    kind = Choices if "choices" in said else Range
    return kind.parse(said, f"{path}: {key}")


def _fixed(config: RunConfig) -> Values:
    found: Values = {}
    for key in FIXED:
        value: Any = config
        for name in key.split("."):
            value = getattr(value, name)
        found[key] = value
    return found
