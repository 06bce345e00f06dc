"""YAML as users write it: a key given twice is an error, and so is whatever is no YAML."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from corarec.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """The safe loader, which lets nothing be given twice (plain YAML keeps the last silently)."""

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


def parse_yaml(text: str, origin: str) -> Any:
    """Return the value of a YAML text; `origin` says in the error where it came from.

    Raises
    ------
    ConfigError
        It is no YAML, gives a key twice, or holds a value that cannot be (the 45th of May).
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
