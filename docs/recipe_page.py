"""Write docs/recipe.md, every key of a recipe, from the configs: `python docs/recipe_page.py`."""

from pathlib import Path

from pydantic import PlainValidator
from pydantic.fields import FieldInfo

from corarec.cf import CF_MODELS, FitConfig
from corarec.fields import about, default, is_config, kind, meanings, values
from corarec.files import atomic_file
from corarec.recipe import FittedCF, RunConfig
from corarec.recipe.training import PhaseConfig
from corarec.recommenders import RECOMMENDERS
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

What recipes share stands once, in a file that they extend:

```yaml
extends: ../two-cores.yaml  # seen from this file
data: data/ml-1m
cf: {model: mf}
system: {name: cora, vectors: {drop_half: 0.5}}
```

Keys are added to those of the base, at any depth; any other value, a list too, replaces the base's,
and null takes a key of the base away (`options: null` beside a CF model other than the base's).
A base is one file and may extend another. An error names the file that made it, and `config.yaml`
needs none of them. The same holds for the recipes of `corarec pretrain-backbone`.

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
    for name, system in RECOMMENDERS.built_in.items():
        configs.append((f"`system: {{name: {name}}}`", system.config_class, "system."))
    configs.append(("`train.phases`", PhaseConfig, "train.phases.NAME."))
    configs.append(("`cf`: a model that the run fits", FitConfig, "cf."))
    configs.append(("`cf`: a model that was fitted before", FittedCF, "cf."))
    for name, model in CF_MODELS.built_in.items():
        configs.append((f"`cf: {{model: {name}}}`", model.config_class, "cf.options."))
    seen: set[type[Config]] = set()
    return "\n".join([INTRODUCTION, *(text for each in configs for text in sections(*each, seen))])


def sections(title: str, config: type[Config], prefix: str, seen: set[type[Config]]) -> list[str]:
    """Return the section of a config and, where they were not seen, of the configs inside it."""
    seen.add(config)
    found = [section(title, config, prefix)]
    for key, field in config.model_fields.items():
        if (inner := own_keys(field)) and inner not in seen:
            found += sections(f"`{prefix}{key}`", inner, f"{prefix}{key}.", seen)
    return found


def section(title: str, config: type[Config], prefix: str) -> str:
    """Return a heading, what the config is, and its keys as a table."""
    rows = [
        f"| `{prefix}{key}` | {values(field)} | {default(field)} | {meaning} |"
        for (key, field), meaning in zip(
            config.model_fields.items(), meanings(config).values(), strict=True
        )
        if not own_keys(field) and kind(field.annotation) != f"`{field.default}`"
    ]
    table = ["| key | values | default | meaning |", "|---|---|---|---|", *rows] if rows else []
    return "\n".join([f"## {title}", "", about(config), "", *table, *[""] * bool(rows)])


def own_keys(field: FieldInfo) -> type[Config] | None:
    """Return the config whose keys stand below a field; None where that is a choice."""
    is_chosen = any(isinstance(each, PlainValidator) for each in field.metadata)
    return field.annotation if is_config(field.annotation) and not is_chosen else None


if __name__ == "__main__":
    main()
