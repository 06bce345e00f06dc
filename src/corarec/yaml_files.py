"""YAML as users write it: a key given twice is an error, and so is whatever is no YAML."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from corarec.errors import ConfigError

MOST_VALUES = 100_000
"""In one text, those behind an alias counted wherever it stands."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which lets nothing be given twice (plain YAML keeps the last silently).

    Aliases that multiply into more values than anybody writes are refused, and what looks like a
    date is a text, as in JSON: no config holds one.
    """

    def construct_document(self, node: yaml.Node) -> Any:
        _check_size(node, {})
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


# Plain YAML 1.1 reads 010 as 8 and 1:30 as 90: here 010 is the text "010", which a config takes as
# ten, and 1:30 is no number.
_TIME = "tag:yaml.org,2002:timestamp"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (*_NUMBERS, _TIME)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _NUMBERS[0], re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    _NUMBERS[1],
    re.compile(
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"
        r"|[-+]?[0-9]+[eE][-+]?[0-9]+$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


def _check_size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many values a node holds, an alias counted wherever it stands."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES  # until it is known: whoever holds itself has too many
        children = (
            (child for pair in node.value for child in pair)
            if isinstance(node, yaml.MappingNode)
            else node.value
        )
        sizes[id(node)] = 1 + sum(_check_size(child, sizes) for child in children)
    if sizes[id(node)] > MOST_VALUES:
        raise yaml.constructor.ConstructorError(
            None, None, f"its aliases make more than {MOST_VALUES:,} values", node.start_mark
        )
    return sizes[id(node)]


def parse_yaml(text: str, origin: str) -> Any:
    """Return the value of a YAML text; `origin` says in the error where it came from.

    Raises
    ------
    ConfigError
        It is no YAML, gives a key twice, or its aliases multiply without end.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{origin}{place} is not YAML as wanted: {problem}.") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{origin} is not YAML as wanted: {error}.") from error


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a YAML file of keys and values; an empty one has none.

    Raises
    ------
    ConfigError
        The file is missing, is a folder, cannot be read, or is no YAML of keys; the message calls
        it `what`.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"There is no {what} at {path}.") from None
    except IsADirectoryError:
        inside = sorted(entry.name for entry in path.glob("*.y*ml"))
        advice = f", such as {path / inside[0]}" if inside else ""
        raise ConfigError(f"{path} is a folder; name a {what} (a YAML file){advice}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not YAML: it is no text in UTF-8 (byte {error.start}). Name a {what}."
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"The {what} {path} cannot be read: {error}.") from error
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} holds {type(values).__name__} where keys such as `data:` were wanted. Name a "
            f"{what}."
        )
    if others := [key for key in values if not isinstance(key, str)]:
        raise ConfigError(f"{path} has the key {others[0]!r}, which is no text. Name a {what}.")
    return values
