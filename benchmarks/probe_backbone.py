"""Ask a language model what it knows about films, and beside it weaker readers of their titles.

    corarec prepare movielens --input ml-1m --output data/ml-1m --split collm-ml1m
    python benchmarks/probe_backbone.py data/ml-1m --model bundled
    python benchmarks/probe_backbone.py data/ml-1m --model runs/lm/model --run runs/lm

Two linear probes (ridge regression, strength chosen inside the fit, five folds over items) on the
hidden state after `"{title} ({year})"`: the genres of films that took no part in the fit (AUC,
mean over genres) and the positive rate of items in the train split (Spearman, items with at least
ten rows). Beside them: the words of the title, the year alone, and the same network with random
weights. With `--run` (a folder of `corarec pretrain-backbone`) also the bits per byte of its
held-out texts beside a unigram model and zlib. Results go to
benchmarks/results/probe_backbone_<label>.json.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from corarec.backbone import Backbone, BackboneConfig, load_backbone
from corarec.data import Dataset
from corarec.files import write_json
from corarec.pretrain.corpus import Corpus
from corarec.pretrain.held_out import bits_per_byte, unigram_bits_per_byte, zlib_bits_per_byte
from corarec.provenance import provenance
from corarec.types import FloatArray, IntArray

RESULTS = Path(__file__).parent / "results"
FOLDS = 5
MIN_ROWS = 10
MIN_FILMS_PER_GENRE = 20
STRENGTHS = np.logspace(-1, 6, 15)

Features = npt.NDArray[np.float32]
Report = dict[str, dict[str, float]]


@torch.inference_mode()
def hidden_states(backbone: Backbone, titles: list[str], batch_size: int = 64) -> Features:
    """Return the last hidden state after each title in double quotes: [N, H]."""
    order = np.argsort([len(title) for title in titles])
    states = np.zeros((len(titles), backbone.model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(titles), batch_size):
        rows = order[start : start + batch_size]
        batch = backbone.tokenizer(
            [f'"{titles[row]}"' for row in rows], return_tensors="pt", padding=True
        )
        mask = batch["attention_mask"]
        output = backbone.model.base_model(
            input_ids=batch["input_ids"],
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        )
        states[rows] = output.last_hidden_state[:, -1].float().numpy()
    return states


def word_counts(titles: list[str]) -> Features:
    """Return which words each title has, the year among them: [N, words]."""
    counts = CountVectorizer(min_df=2, binary=True, token_pattern=r"\w+").fit_transform(titles)
    return np.asarray(counts.todense(), dtype=np.float32)


def years(titles: list[str]) -> Features:
    """Return the year in the title, as a smooth curve and as decades: [N, features]."""
    year = np.array([int(title[-5:-1]) if title[-5:-1].isdigit() else 1990 for title in titles])
    centred = (year - 1985) / 20
    decades = np.equal.outer(year // 10, np.unique(year // 10))
    columns = [centred, centred**2, centred**3, *decades.T.astype(float)]
    return np.stack(columns, axis=1).astype(np.float32)


def predict(features: Features, targets: FloatArray, weights: FloatArray, seed: int) -> FloatArray:
    """Return what ridge regressions, each fitted on four fifths, say about the last: [N, targets].

    Raises
    ------
    ValueError
        The features are not finite.
    """
    predictions = np.zeros_like(targets)
    for fit, rest in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        scale = StandardScaler().fit(features[fit])
        model = RidgeCV(alphas=STRENGTHS, alpha_per_target=True)
        model.fit(scale.transform(features[fit]), targets[fit], sample_weight=weights[fit])
        predictions[rest] = model.predict(scale.transform(features[rest])).reshape(
            -1, targets[0].size
        )
    return predictions


def genre_auc(features: Features, genres: FloatArray, seed: int) -> float:
    """Return the mean over genres of the AUC on films that were not in the fit."""
    predicted = predict(features, genres, np.ones(len(genres)), seed)
    aucs = [roc_auc_score(genres[:, g], predicted[:, g]) for g in range(genres.shape[1])]
    return float(np.mean(aucs))


def rate_spearman(features: Features, rates: FloatArray, rows: IntArray, seed: int) -> float:
    """Return the rank correlation with the positive rate of items that were not in the fit."""
    predicted = predict(features, rates[:, None], np.sqrt(rows.astype(float)), seed)
    return float(spearmanr(predicted[:, 0], rates).statistic)


def probe(dataset: Dataset, readers: dict[str, Features], seeds: int) -> Report:
    """Probe every reader; `readers`: name -> features of all items, [items, ...]."""
    listed = dataset.items.sort("item_id")["genres"].str.split("|").to_list()
    names = sorted({genre for genres in listed for genre in genres})
    table = np.array([[name in genres for name in names] for genres in listed], dtype=np.float64)
    table = table[:, table.sum(axis=0) >= MIN_FILMS_PER_GENRE]
    train = dataset.rows("train")
    items = dataset.pairs(train).item_ids - 1
    rows = np.bincount(items, minlength=dataset.num_items)
    liked = np.bincount(items, weights=dataset.labels(train), minlength=dataset.num_items)
    often = np.flatnonzero(rows >= MIN_ROWS)
    report: Report = {}
    for name, features in readers.items():
        aucs = [genre_auc(features, table, seed) for seed in range(seeds)]
        ranks = [
            rate_spearman(features[often], liked[often] / rows[often], rows[often], seed)
            for seed in range(seeds)
        ]
        report[name] = {
            "genre_auc": round(float(np.mean(aucs)), 4),
            "genre_auc_spread": round(float(np.std(aucs)), 4),
            "rate_spearman": round(float(np.mean(ranks)), 4),
            "rate_spearman_spread": round(float(np.std(ranks)), 4),
        }
    return report | {
        "counts": {"films": len(listed), "genres": table.shape[1], "rated": len(often)}
    }


def held_out_bits(backbone: Backbone, corpus: Corpus, texts: int) -> Report:
    """Return bits per byte of each source's held-out text: model, unigram, zlib."""
    counts = corpus.token_counts(len(backbone.tokenizer))
    return {
        name: {
            "model": round(bits_per_byte(backbone.model, backbone.tokenizer, held[:texts]), 4),
            "unigram": round(unigram_bits_per_byte(counts, backbone.tokenizer, held[:texts]), 4),
            "zlib": round(zlib_bits_per_byte(held), 4),
        }
        for name, held in corpus.held_out.items()
    }


def show(title: str, report: Report, console: Console) -> None:
    """Print a report as a table."""
    table = Table(title=title)
    columns = list(next(iter(report.values())))
    for column in ["", *columns]:
        table.add_column(column)
    for name, values in report.items():
        if values.keys() == set(columns):
            table.add_row(name, *(f"{values[column]:.4f}" for column in columns))
    console.print(table)


def main() -> None:
    """Probe one model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder that `corarec prepare` wrote")
    parser.add_argument("--model", default="bundled", help="`bundled`, a folder or a hub name")
    parser.add_argument("--run", type=Path, help="a pretraining run with its held-out texts")
    parser.add_argument("--label", default="bundled", help="part of the result file's name")
    parser.add_argument("--seeds", type=int, default=3, help="divisions into folds")
    parser.add_argument("--texts", type=int, default=200, help="held-out texts per source")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()

    dataset = Dataset.load(options.dataset)
    titles = dataset.titles[1:]
    trained = load_backbone(BackboneConfig(model=options.model))
    fresh = load_backbone(BackboneConfig(model=options.model, random_weights=True))
    result: dict[str, Any] = {
        "provenance": provenance(),
        "model": trained.fingerprint,
        "parameters": trained.model.num_parameters(),
        "probes": probe(
            dataset,
            {
                "language model": hidden_states(trained, titles),
                "random weights": hidden_states(fresh, titles),
                "title words": word_counts(titles),
                "year": years(titles),
            },
            options.seeds,
        ),
    }
    show("Probes", result["probes"], console)
    if options.run is not None:
        corpus = Corpus.open(options.run / "corpus")
        result["bits_per_byte"] = held_out_bits(trained, corpus, options.texts)
        show("Bits per byte of held-out text", result["bits_per_byte"], console)
    write_json(RESULTS / f"probe_backbone_{options.label}.json", result)


if __name__ == "__main__":
    main()
