"""Write docs/recipe.md, every key of a recipe, from the configs: `python docs/recipe_page.py`."""

import ast
import inspect
import json
import textwrap
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corarec.cf import CF_MODELS, FitConfig
from corarec.files import atomic_file
from corarec.recommenders import SystemConfig
from corarec.train.recipe import FittedCF, RunConfig
from corarec.types import Config

PAGE = Path(__file__).parent / "recipe.md"

INTRODUCTION = """\
# A recipe, key by key

A recipe is a YAML file with everything that a run depends on. The shortest is a dataset and a CF
model:

```yaml
data: data/ml-1m
cf: {model: mf-b}
```

`corarec train recipe.yaml --output runs/mine --set train.steps=500` trains it with one key changed,
`corarec doctor recipe.yaml` says beforehand what it will cost, and the run folder keeps it with all
defaults spelled out, as `config.yaml`. An unknown key or a value out of bounds is an error, before
anything is read. `recipes/` holds recipes to start from; [training.md](training.md) says how a run
goes.

(This page is written by `python docs/recipe_page.py` from the configs themselves.)
"""


def main() -> None:
    """Write the page."""
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page(), "utf-8")
    print(f"Written to {PAGE}")


def page() -> str:
    """Return the page."""
    configs: list[tuple[str, type[Config], str]] = [("The top", RunConfig, "")]
    for system in get_args(get_args(SystemConfig)[0]):
        name = system.model_fields["name"].default
        configs.append((f"`system: {{name: {name}}}`", system, "system."))
    configs.append(("`cf`: a model that the run fits", FitConfig, "cf."))
    configs.append(("`cf`: a model that was fitted before", FittedCF, "cf."))
    for name, model in CF_MODELS.items():
        configs.append((f"`cf: {{model: {name}}}`", model.config_class, "cf.options."))
    seen: set[type[Config]] = set()
    return "\n".join([INTRODUCTION, *(text for each in configs for text in sections(*each, seen))])


def sections(title: str, config: type[Config], prefix: str, seen: set[type[Config]]) -> list[str]:
    """Return the section of a config and, where they were not seen, of the configs inside it."""
    seen.add(config)
    found = [section(title, config, prefix)]
    for key, field in config.model_fields.items():
        if is_config(inner := field.annotation) and inner not in seen:
            found += sections(f"`{prefix}{key}`", inner, f"{prefix}{key}.", seen)
    return found


def section(title: str, config: type[Config], prefix: str) -> str:
    """Return a heading, what the config is, and its keys as a table."""
    rows = [
        f"| `{prefix}{key}` | {values(field)} | {default(field)} | {meaning} |"
        for (key, field), meaning in zip(
            config.model_fields.items(), meanings(config).values(), strict=True
        )
        if not is_config(field.annotation) and kind(field.annotation) != f"`{field.default}`"
    ]
    first = inspect.cleandoc(config.__doc__ or "").replace("\n", " ").split("  ")[0]
    table = ["| key | values | default | meaning |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {title}", "", first, "", *table, *[""] * bool(rows)])


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


if __name__ == "__main__":
    main()
