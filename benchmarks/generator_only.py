"""What CF vectors give a generator without a language model: `generator_only.py RUN ...`.

The generator of every CoRA run is trained anew with a linear read-out of its matrix in place of the
language model, by the run's own recipe, which takes seconds. It cannot read titles, so what CoRA
has beyond its AUC is the text's. Everything here is on the validation rows that choose CoRA's
weights; beside it stand the CF model alone, a logistic regression on the same vectors and the
trivial references. Results go to benchmarks/results/generator_only.json.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from corarec.adapter import CollaborativeQueryGenerator
from corarec.benchmark.references import LabelledPairs, fit_references
from corarec.cf import VectorSource, VectorTable, load_cf
from corarec.data import Dataset
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.recipe import RunConfig, load_recipe
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.vectors import VectorInput
from corarec.train.metrics import read_metrics
from corarec.train.plan import BatchPlan
from corarec.train.run import validation_rows
from corarec.types import FloatArray, IntArray, Pairs

RESULT = Path(__file__).parent / "results" / "generator_only.json"
WIDTH = 64
"""Rows of the matrix; the hidden size of the language model in CoRA."""


class ReadOut(nn.Module):
    """A generator whose matrix is read by one linear layer."""

    def __init__(self, system: CoraSystem, cf: VectorSource, seed: int) -> None:
        super().__init__()
        vectors = system.vectors
        self.vector_input = VectorInput(
            vectors.drop_half, vectors.product, cf.match_size, vectors.drop_families, cf.families
        )
        size = self.vector_input.half_size(cf.vector_size)
        config = system.generator.sized(size)
        start = torch.Generator().manual_seed(seed)
        self.generator = CollaborativeQueryGenerator(config, system.rank, {WIDTH}, start)
        self.out = nn.Linear(WIDTH * system.rank, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, table: VectorTable, rows: IntArray) -> torch.Tensor:
        """Return a logit for each pair of vectors: [B]."""
        users, items = table.lookup(rows)
        matches = None if table.matches is None else table.matches[torch.from_numpy(rows)]
        matrices = self.generator(self.vector_input(users, items, matches))[WIDTH].flatten(1)
        # The matrix has norm 1; its numbers come to about 1 so.
        logits: torch.Tensor = self.out(matrices * matrices.shape[1] ** 0.5).squeeze(1)
        return logits


def train(config: RunConfig, dataset: Dataset, cf: VectorSource, valid: Pairs) -> FloatArray:
    """Return the scores of the validation rows after the recipe's steps: [N]."""
    assert isinstance(config.system, CoraSystem)
    torch.manual_seed(config.seed)
    rows = dataset.learnable()
    pairs = dataset.pairs(rows)
    table, labels = cf.vector_table(pairs), torch.from_numpy(dataset.labels(rows)).float()
    model = ReadOut(config.system, cf, config.seed)
    model.vector_input.fit_scale(table)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.train.weight_decay)
    plan = BatchPlan(np.ones(len(pairs), dtype=np.int64), config.train.batch_size, config.seed)
    for step in range(config.train.steps):
        chosen = plan[step]
        optimizer.param_groups[0]["lr"] = config.train.learning_rate_at(step)
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(table, chosen), labels[chosen])
        loss.backward()
        optimizer.step()
    model.eval()
    vectors = cf.vector_table(valid)
    with torch.no_grad():
        return model(vectors, np.arange(len(valid))).double().numpy()


def regressed(dataset: Dataset, cf: VectorSource, valid: Pairs) -> FloatArray:
    """Return the scores of the validation rows by a logistic regression on the vectors: [N]."""
    rows = dataset.learnable()
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    regression.fit(whole(cf.vector_table(dataset.pairs(rows))), dataset.labels(rows))
    return np.asarray(regression.decision_function(whole(cf.vector_table(valid))))


def whole(table: VectorTable) -> FloatArray:
    """Return everything that vectors say of each pair: [N, f]."""
    parts = [*table.lookup(np.arange(len(table)))]
    parts += [] if table.matches is None else [table.matches]
    return torch.cat(parts, dim=1).double().numpy()


def main() -> None:
    """Measure the runs, whatever the order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of CoRA on one dataset")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    models: dict[str, dict[str, list[float]]] = {}
    recipes = {run.name: load_recipe(run / "config.yaml") for run in options.runs}
    for run in options.runs:
        config = recipes[run.name]
        dataset = Dataset.load(config.data).under(config.knowledge)
        cf = VectorSource(load_cf(run / "cf", dataset.fingerprint), dataset)
        rows = validation_rows(dataset, config.train)
        valid, labels = dataset.pairs(rows), dataset.labels(rows)
        last = [record for record in read_metrics(run) if "valid_auc" in record]
        aucs = models.setdefault(cf.name, {})
        scores = {
            "alone": cf.score(valid),
            "regression": regressed(dataset, cf, valid),
            "generator": train(config, dataset, cf, valid),
        }
        for way, values in scores.items():
            aucs.setdefault(way, []).append(roc_auc_score(labels, values))
        aucs.setdefault("cora", []).append(max(record["valid_auc"] for record in last))
        console.print(run.name, {way: round(values[-1], 4) for way, values in aucs.items()})
    train_part, valid_part = (
        LabelledPairs(dataset.pairs(part), dataset.labels(part)) for part in ("train", "valid")
    )
    references = {
        name: roc_auc_score(labels, scores)
        for name, scores in fit_references(train_part, valid_part).scores(valid).items()
    }
    console.print(references)
    made = provenance(recipes)
    found = {"rows": len(rows), "models": models, "references": references}
    write_json(RESULT, {"provenance": made} | found)


if __name__ == "__main__":
    main()
