r"""What it is worth on MovieLens-1M to know likes up to the moment, beside the end of training.

    python benchmarks/streaming_ml1m.py runs/overall/cora-als-0 --data data/ml-1m \
        --cf runs/overall/cf --users 120

Every test row is scored, then told to the run, and so on in the order of time; rows of one second
do not know each other. Three states of knowledge: all stays as at the end of the training part;
the prompt's history grows; the CF vectors follow as well. With `--cf` the CF models in a folder,
fitted on the same dataset, are measured by themselves first, on all users; the run is measured on a
sample of users, drawn by the seed. Written to benchmarks/results/streaming_ml1m.json, each look at
the test rows to benchmarks/results/test_evaluations.jsonl.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from corarec.benchmark.test_log import log_test_evaluation
from corarec.cf import VectorSource, load_cf
from corarec.cf.fit import seen_rows
from corarec.data import Dataset
from corarec.evaluate import BootstrapConfig, compare, evaluate
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs.live import Limits, LiveRun, People
from corarec.types import FloatArray, Histories, IntArray, Pairs, ScoreTable

RESULT = Path(__file__).parent / "results" / "streaming_ml1m.json"
FROZEN, PROMPT, BOTH = "end of training", "prompt follows", "prompt and CF follow"
DRAWS = BootstrapConfig(draws=1000)
Score = Callable[[IntArray], FloatArray]
Tell = Callable[[int], None]


def seconds(dataset: Dataset, rows: IntArray) -> list[list[IntArray]]:
    """Return the rows of each user, parted by their seconds, in the order of time."""
    users = dataset.pairs(rows).user_ids
    times = dataset.interactions["timestamp"].to_numpy()[rows]
    found = []
    for user in np.unique(users).tolist():
        own = np.flatnonzero(users == user)
        own = own[np.argsort(times[own], kind="stable")]
        found.append(np.split(rows[own], np.flatnonzero(np.diff(times[own])) + 1))
    return found


def steps(parts: Sequence[Sequence[IntArray]]) -> Iterator[IntArray]:
    """Yield the first second of every user together, then the second one, and so on."""
    for step in range(max(map(len, parts))):
        yield np.concatenate([part[step] for part in parts if step < len(part)])


def replay(dataset: Dataset, rows: IntArray, score: Score, tell: Tell | None) -> FloatArray:
    """Return the scores of test rows, each told after it was scored: [N]."""
    if tell is not None:
        users = set(dataset.pairs(rows).user_ids.tolist())
        valid = dataset.rows("valid")
        for row in valid[np.isin(dataset.pairs(valid).user_ids, list(users))].tolist():
            tell(row)
    places = {row: place for place, row in enumerate(rows.tolist())}
    scores = np.full(len(rows), np.nan)
    for group in steps(seconds(dataset, rows)):
        scores[[places[row] for row in group.tolist()]] = score(group)
        if tell is not None:
            for row in group.tolist():
                tell(row)
    return scores


def end_of_training(dataset: Dataset) -> int:
    """Return the second after the last training row."""
    return int(dataset.interactions["timestamp"].to_numpy()[dataset.rows("train")].max()) + 1


def of_cf(dataset: Dataset, folder: Path, rows: IntArray) -> dict[str, FloatArray]:
    """Return the scores of a CF model by itself, in two states of knowledge."""
    model = load_cf(folder, dataset.fingerprint)
    assert model.report is not None
    fitted = np.asarray(seen_rows(dataset, model.report))
    end, found = end_of_training(dataset), {}
    for state in (FROZEN, BOTH):
        people = People(dataset.knowledge, fitted, Limits(), until=end)
        source = VectorSource(model, None)
        source.follow(people if state == BOTH else None)

        def score(group: IntArray, source: VectorSource = source, people: People = people) -> Any:
            pairs = dataset.pairs(group)
            contexts = [people.context(user) for user in pairs.user_ids.tolist()]
            histories = Histories.from_lists([context.liked.tolist() for context in contexts])
            return source.score(Pairs(pairs.user_ids, pairs.item_ids, histories))

        found[state] = replay(
            dataset, rows, score, teller(dataset, people) if state == BOTH else None
        )
    return found


def teller(dataset: Dataset, people: People) -> Tell:
    """Return what tells of a row."""
    names, rows = dataset.user_vocabulary.raw_ids, dataset.interactions

    def tell(row: int) -> None:
        one = rows.row(row, named=True)
        kind = "like" if one["label"] else "dislike"
        user = names[one["user_id"] - 1]
        people.tell(user, one["item_id"], kind, one["timestamp"], one["rating"])  # type: ignore[arg-type]

    return tell


def of_run(dataset: Dataset, folder: Path, data: Path, rows: IntArray) -> dict[str, FloatArray]:
    """Return the scores of a run in three states of knowledge."""
    found = {}
    users, items = dataset.user_vocabulary, dataset.item_vocabulary
    for state in (FROZEN, PROMPT, BOTH):
        live = LiveRun.open(folder, data, live=state == BOTH, until=end_of_training(dataset))

        def score(group: IntArray, live: LiveRun = live) -> FloatArray:
            pairs = dataset.pairs(group)
            names = zip(users.raw(pairs.user_ids), items.raw(pairs.item_ids), strict=True)
            return np.array([scored.score for scored in live.score(list(names))])

        def tell(row: int, live: LiveRun = live) -> None:
            one = dataset.interactions.row(row, named=True)
            user, item = users.raw_ids[one["user_id"] - 1], items.raw_ids[one["item_id"] - 1]
            kind = "like" if one["label"] else "dislike"
            live.record(user, item, kind, one["timestamp"], one["rating"])  # type: ignore[arg-type]

        found[state] = replay(dataset, rows, score, None if state == FROZEN else tell)
    return found


def measured(dataset: Dataset, rows: IntArray, scores: dict[str, FloatArray], name: str) -> Any:
    """Return AUC and UAUC of every state, and what each is above the first."""
    tables: dict[str, ScoreTable] = {
        state: dataset.score_table(rows, values) for state, values in scores.items()
    }
    result: dict[str, Any] = {
        "rows": len(rows),
        "users": len(np.unique(dataset.pairs(rows).user_ids)),
    }
    for state, table in tables.items():
        evaluation = evaluate(table, f"{name}, {state}", config=DRAWS)
        log_test_evaluation(RESULT.parent, evaluation)
        told: dict[str, Any] = {
            metric: None if estimate is None else round(estimate.value, 4)
            for metric, estimate in evaluation.parts["all"].metrics.items()
        }
        if state != FROZEN:
            comparison = compare(table, tables[FROZEN], (state, FROZEN), config=DRAWS)
            told["above"] = {
                metric: None
                if difference is None
                else [round(v, 4) for v in (difference.value, difference.low, difference.high)]
                for metric, difference in comparison.parts["all"].metrics.items()
            }
        result[state] = told
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path, help="a run trained on the dataset")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cf", type=Path, help="folder of fitted CF models")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    dataset = Dataset.load(arguments.data)
    test = dataset.rows("test")
    of_test = dataset.pairs(test).user_ids
    found: dict[str, Any] = {"cf": {}, "seed": arguments.seed}
    for folder in sorted(arguments.cf.iterdir()) if arguments.cf else ():
        label = load_cf(folder, dataset.fingerprint).name
        found["cf"][label] = measured(dataset, test, of_cf(dataset, folder, test), label)
        console.print(label, found["cf"][label])
    users = np.unique(of_test)
    random = np.random.default_rng(arguments.seed)
    chosen = random.choice(users, min(arguments.users, len(users)), replace=False)
    rows = test[np.isin(of_test, chosen)]
    scores = of_run(dataset, arguments.run, arguments.data, rows)
    found["run"] = measured(dataset, rows, scores, arguments.run.name)
    found["users_of_test"] = len(users)
    console.print(found["run"])
    write_json(RESULT, found | {"provenance": provenance()})


if __name__ == "__main__":
    main()
