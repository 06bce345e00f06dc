"""Write docs/recipe.md, every key of a recipe, from the configs: `python docs/recipe_page.py`."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corarec.cf import CF_MODELS, FitConfig
from corarec.files import atomic_file
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.tallrec import TALLRecSystem
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

SYSTEMS: tuple[type[Config], ...] = (CoraSystem, TALLRecSystem, ICLSystem)


def main() -> None:
    """Write the page."""
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page(), "utf-8")
    print(f"Written to {PAGE}")


def page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *run_sections(), *system_sections(), *cf_sections()])


def run_sections() -> Iterator[str]:
    """Yield the keys at the top and those of training."""
    yield section("The top", RunConfig, "")
    yield section("`train`", RunConfig.model_fields["train"].annotation, "train.")


def system_sections() -> Iterator[str]:
    """Yield the keys of every system, what they share once."""
    yield section("`system`: CoRA", CoraSystem, "system.")
    for key in ("vectors", "backbone", "prompt"):
        title = f"`system.{key}`"
        yield section(title, CoraSystem.model_fields[key].annotation, f"system.{key}.")
    for system in SYSTEMS[1:]:
        name = system.model_fields["name"].default
        yield section(f"`system: {{name: {name}}}`", system, "system.")


def cf_sections() -> Iterator[str]:
    """Yield the keys of every CF model."""
    yield section("`cf`: a model that the run fits", FitConfig, "cf.")
    yield section("`cf`: a model that was fitted before", FittedCF, "cf.")
    for name, model in CF_MODELS.items():
        yield section(f"`cf: {{model: {name}}}`", model.config_class, "cf.options.")


def section(title: str, config: Any, prefix: str) -> str:
    """Return a heading, what the config is, and its keys as a table."""
    assert issubclass(config, Config)
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
        return "keys, below"
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


def is_config(annotation: Any) -> bool:
    """Return whether a field holds a config of its own."""
    return isinstance(annotation, type) and issubclass(annotation, Config)


def is_union(annotation: Any) -> bool:
    """Return whether a type is one of several."""
    return get_origin(annotation) in (Union, UnionType)


if __name__ == "__main__":
    main()
