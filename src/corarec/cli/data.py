"""Commands that make datasets and CF models."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from corarec.cli.names import CF_MODELS, SOURCES, SPLIT_RULES, completing
from corarec.cli.options import Options, Seed, SplitOptions, TableOrJson, named_values
from corarec.cli.output import log, print_json, say
from corarec.errors import ConfigError
from corarec.files import real_place
from corarec.progress import watch_fits
from corarec.text import printable


def prepare(
    source: Annotated[
        str, typer.Argument(help=", ".join(SOURCES), autocompletion=completing(SOURCES))
    ],
    output: Annotated[Path, typer.Option(help="Dataset folder to write.")],
    split: Annotated[
        str, typer.Option(help=", ".join(SPLIT_RULES), autocompletion=completing(SPLIT_RULES))
    ],
    input: Annotated[Path | None, typer.Option(help="Folder, archive or file to read.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Ratings of at least this are positives.")
    ] = None,
    implicit: Annotated[
        bool,
        typer.Option(
            "--implicit", help="Every row is a positive, whatever its rating; negatives are drawn."
        ),
    ] = False,
    negatives: Annotated[
        int, typer.Option(help="Sampled per positive, where data has positives only.")
    ] = 1,
    seed: Seed = 0,
    sample_users: Annotated[
        float | None,
        typer.Option(help="Keep about this share of the users, chosen by a digest of their ids."),
    ] = None,
    sample_seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of --sample-users.")] = 0,
    untitled: Annotated[
        str | None, typer.Option(help="What becomes of items without a title: error or drop.")
    ] = None,
    source_option: Options = None,
    split_option: SplitOptions = None,
    keep_earlier: Annotated[
        bool,
        typer.Option(
            "--keep-earlier", help="Keep rows from before train, as a part of their own: earlier."
        ),
    ] = False,
    beside_title: Annotated[
        list[str] | None,
        typer.Option(
            help="A column of items, such as genres, that titles are followed by (repeat)."
        ),
    ] = None,
    form: TableOrJson = "table",
) -> None:
    """Turn the files of a source into a dataset folder."""
    from corarec.data import LabelConfig, PrepareConfig
    from corarec.data import prepare as run_prepare
    from corarec.data.sampling import UserSample

    sample = None
    if sample_users is not None:
        values = {"share": sample_users, "seed": sample_seed}
        sample = UserSample.parse(values, "--sample-users")
    dataset = run_prepare(
        PrepareConfig(
            source=source,
            input=input,
            output=output,
            split=split,
            labels=LabelConfig.parse(
                {
                    "threshold": threshold,
                    "implicit": implicit,
                    "negatives": negatives,
                    "seed": seed,
                },
                "The command",
            ),
            sample=sample,
            source_options=named_values(source_option),
            split_options=named_values(split_option)
            | ({} if untitled is None else {"untitled": untitled}),
            keep_earlier=keep_earlier,
            beside_titles=tuple(beside_title or ()),
        )
    )
    if form == "json":
        print_json({"output": str(output), **dataset.card.model_dump(mode="json")})
        return
    for split_name, counts in dataset.card.counts.items():
        say(
            f"{split_name}: {counts.rows:,} rows, {counts.users:,} users, {counts.items:,} items, "
            f"{counts.positives / counts.rows:.1%} positive, {counts.warm:,} warm"
        )
    for note in dataset.card.notes:
        say(printable(note))
    say(f"Licence: {printable(dataset.card.licence)}\nWritten to {output}")


def fit_cf(
    data: Annotated[Path, typer.Argument(help="Dataset folder.")],
    model: Annotated[
        str, typer.Option(help=", ".join(CF_MODELS), autocompletion=completing(CF_MODELS))
    ],
    output: Annotated[Path, typer.Option(help="Folder for the fitted model.")],
    seed: Seed = 0,
    train_until: Annotated[
        float, typer.Option(help="Fit on this earliest share of the training rows only.")
    ] = 1.0,
    knowledge: Annotated[
        Literal["train", "snapshot", "streaming"],
        typer.Option(help="Which labels a row may see: as `knowledge` of the recipe to come."),
    ] = "train",
    period: Annotated[
        str, typer.Option(help="Of --knowledge snapshot: month, or a number of days.")
    ] = "month",
    option: Options = None,
    form: TableOrJson = "table",
) -> None:
    """Fit a collaborative-filtering model: the vectors that CoRA turns into weights."""
    from corarec.cf import FitConfig
    from corarec.cf import fit_cf as run_fit
    from corarec.data import Dataset, KnowledgePolicy

    home = real_place(output).parent
    if (home / "config.yaml").exists() and (home / "data.json").exists():
        raise ConfigError(
            f"{home} is a run, whose CF model must stay the one that it was trained with. "
            "Choose another --output."
        )
    values = {"model": model, "options": named_values(option), "train_until": train_until}
    config = FitConfig.parse(values, "The command")
    policy = KnowledgePolicy.parse(
        {"policy": knowledge, "period": int(period) if period.isdecimal() else period},
        "The command",
    )
    dataset = Dataset.load(data).under(policy)
    _, report = run_fit(dataset, config, seed=seed, output=output, watch=watch_fits(log))
    if form == "json":
        print_json({"output": str(output), "model": model, **report.model_dump(mode="json")})
    else:
        say(f"Written to {output}")


def init(
    data: Annotated[Path, typer.Argument(help="Dataset folder.")],
    output: Annotated[Path, typer.Option(help="Recipe to write.")] = Path("recipe.yaml"),
    form: TableOrJson = "table",
) -> None:
    """Write a recipe to start from, sized to a dataset and to the language model that ships."""
    from corarec.data import Dataset
    from corarec.files import atomic_file
    from corarec.starter import starter_recipe

    if output.exists():
        raise ConfigError(f"{output} is there already. Choose another --output, or move it away.")
    recipe = starter_recipe(Dataset.load(data), data)
    with atomic_file(output) as temporary:
        temporary.write_text(recipe, "utf-8")
    if form == "json":
        print_json({"data": str(data), "recipe": str(output)})
        return
    name = shlex.quote(str(output))
    say(f"Written to {output}. Next: corarec doctor {name}")
    say(f"Then: corarec train {name} --output {shlex.quote(f'runs/{output.stem}')}")
