"""Give every system of the MovieLens-1M table the same budget of tuning, on validation alone.

    corarec prepare movielens --input ml-1m --output data/ml-1m-quarter \
      --split collm-ml1m --sample-users 0.25
    python benchmarks/tuning_ml1m.py data/ml-1m-quarter

Three learning rates each, that of the recipe and a third and three times of it, in 300 steps on a
quarter of the users; test rows are never asked for. The second phase of CoLLM and BinLLM starts
from the best trial of TALLRec, which is their first. The trainings are kept in `runs/tuning`
(`--output`): a second call goes on where the first was stopped. Writes
benchmarks/results/tuning_ml1m.json, where systems that are not run keep their figures.
"""

import argparse
from pathlib import Path

import polars as pl
from rich.console import Console

from corarec.files import read_json, write_json
from corarec.provenance import provenance
from corarec.tune import Outcome, TuneConfig, load_space, tune
from corarec.yaml_files import read_yaml

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes" / "ml-1m"
RESULT = ROOT / "benchmarks" / "results" / "tuning_ml1m.json"

SYSTEMS = {
    "TALLRec": "tallrec",
    "Prompt4NR": "prompt4nr",
    "PersonPrompt": "personprompt",
    "CoLLM-MF": "collm-mf",
    "BinLLM": "binllm",
    "CoRA-MF": "cora-mf",
}
FACTORS = (1 / 3, 1.0, 3.0)
DEFAULT_RATE = 1e-3
"""Of recipes that name none."""


def rates_of(recipe: str, text: Path) -> tuple[str, float, list[str]]:
    """Return the key that is tuned, its value in a recipe, and what is set beside it.

    `text` is the run that a second phase starts from.
    """
    train = read_yaml(RECIPES / f"{recipe}.yaml", "recipe").get("train", {})
    if "phases" not in train:
        return "train.learning_rate", train.get("learning_rate", DEFAULT_RATE), []
    last = train["phases"][-1]
    phase = f"{{name: {last['name']}, parameters: [{', '.join(last['parameters'])}], "
    phase += f"learning_rate: {last['learning_rate']}, init_from: {text}}}"
    return (
        f"train.phases.{last['name']}.learning_rate",
        last["learning_rate"],
        [f"train.phases=[{phase}]"],
    )


def tuned(name: str, data: Path, output: Path, steps: int, console: Console) -> Outcome:
    """Train a system with the three rates, or go on with that."""
    key, rate, changes = rates_of(SYSTEMS[name], best_of(output / "TALLRec"))
    space_file = output / f"{name}.yaml"
    output.mkdir(parents=True, exist_ok=True)
    space_file.write_text(f"{key}: [{', '.join(f'{rate * f:.3g}' for f in FACTORS)}]\n", "utf-8")
    settings = [f"data={data}", f"train.steps={steps}", "train.validate_every=100"]
    space = load_space(space_file, RECIPES / f"{SYSTEMS[name]}.yaml", [*settings, *changes])
    config = TuneConfig(trials=len(FACTORS), sampler="grid")
    return tune(space, output / name, config, say=console.print)


def best_of(tuning: Path) -> Path:
    """Return the run of the best trial; the folder of the tuning where it has none yet."""
    trials = tuning / "trials.parquet"
    if not trials.exists():
        return tuning
    ends = pl.read_parquet(trials).drop_nulls("auc").sort("auc")
    return tuning / ends["folder"][-1]


def main() -> None:
    """Tune the systems that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--output", type=Path, default=Path("runs/tuning"))
    given = parser.parse_args()
    console = Console()
    for name in given.systems:
        outcome = tuned(name, given.data, given.output, given.steps, console)
        result = read_json(RESULT) if RESULT.exists() else {"systems": {}}
        recipe_rate = rates_of(SYSTEMS[name], given.output)[1]
        result["systems"][name] = {
            "recipe": f"recipes/ml-1m/{SYSTEMS[name]}.yaml",
            "recipe_rate": recipe_rate,
            "steps": given.steps,
            "trials": [
                {
                    "rate": next(iter(trial.values.values())),
                    "state": trial.state,
                    outcome.metric: trial.value,
                    "step": trial.step,
                }
                for trial in outcome.trials
            ],
        }
        result["provenance"] = provenance()
        write_json(RESULT, result)
        console.print(name, result["systems"][name]["trials"])


if __name__ == "__main__":
    main()
