"""Train several systems with several seeds, and compare them: `python benchmarks/study.py STUDY`.

A study is a YAML file: the systems (each a recipe with overrides), the seeds, the split to report
on and the pairs to test. Runs go to `runs/STUDY/SYSTEM-SEED` and are not made again; a stopped
study goes on where it was. Results are written as JSON.
"""

import argparse
from pathlib import Path

from rich.console import Console

from corarec.benchmark.provenance import provenance
from corarec.benchmark.study import load_study, recipes, run_study, study_results, time_taken
from corarec.files import write_json
from corarec.report.tables import terminal_tables


def main() -> None:
    """Run a study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seeds", nargs="*", type=int, help="instead of those of the study")
    parser.add_argument("--only", nargs="*", help="train these systems only, report nothing")
    arguments = parser.parse_args()
    console = Console()
    study = load_study(arguments.study, arguments.seeds)
    folders = arguments.runs / arguments.study.stem
    run_study(study, folders, console, arguments.only)
    if not arguments.only:
        result = study_results(study, folders)
        for table in terminal_tables(result):
            console.print(table)
        stem = arguments.output / f"study-{arguments.study.stem}-{study.split}"
        made = {"provenance": provenance(recipes(study, folders)), **time_taken(study, folders)}
        write_json(stem.with_suffix(".json"), made | result.model_dump(mode="json"))


if __name__ == "__main__":
    main()
