"""The fields of a config in words, read from the config itself."""

import ast
import inspect
import json
import textwrap
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corarec.types import Config


def about(config: type[Config]) -> str:
    """Return the first paragraph of what a config says of itself, on one line."""
    return inspect.cleandoc(config.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def meanings(config: type[Config]) -> dict[str, str]:
    """Return what stands under each field in the source, those of the bases first."""
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        if not issubclass(kind, Config) or kind is Config:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                said = text.value if isinstance(text, ast.Expr) else None
                words = ast.literal_eval(said) if isinstance(said, ast.Constant) else ""
                name = field.target.id
                found[name] = " ".join(words.split()) or found.get(name, "")
    return {key: found[key] for key in config.model_fields}


def values(field: FieldInfo) -> str:
    """Return which values a field takes."""
    words = kind(field.annotation)
    for bound in field.metadata:
        for sign, name in ((">", "gt"), ("≥", "ge"), ("<", "lt"), ("≤", "le")):
            if hasattr(bound, name):
                words += f" {sign} {getattr(bound, name):g}"
    return words


def kind(annotation: Any) -> str:
    """Return a type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(FieldInfo.from_annotation(annotation))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if is_union(annotation):
        kinds = dict.fromkeys(kind(part) for part in arguments if part is not NoneType)
        return " or ".join(kinds)
    if origin in (tuple, list):
        return f"list: {kind(arguments[0])}"
    if is_config(annotation):
        return "keys of its own"
    names = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}
    return names.get(annotation, {Path: "path"}.get(annotation, "keys"))


def default(field: FieldInfo) -> str:
    """Return a field's default."""
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if value is None or value == () or value == {}:
        return "none"
    if isinstance(value, Config):
        return f"`name: {value.name}`" if hasattr(value, "name") else "none"
    plain = isinstance(value, str) and "\n" not in value
    return f"`{value if plain else json.dumps(value)}`"


def is_config(annotation: Any) -> TypeGuard[type[Config]]:
    """Return whether a field holds a config of its own."""
    return isinstance(annotation, type) and issubclass(annotation, Config)


def is_union(annotation: Any) -> bool:
    """Return whether a type is one of several."""
    return get_origin(annotation) in (Union, UnionType)
