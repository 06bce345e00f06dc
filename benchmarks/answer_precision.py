"""What answers in float32 change in bfloat16: `python benchmarks/answer_precision.py DATA`.

The bundled model, untrained, answers the plain prompt for pairs of the valid split: in float32,
in bfloat16 with the two answers projected in float32, and in bfloat16 throughout.
"""

import argparse
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from sklearn.metrics import roc_auc_score

from corarec.backbone import BackboneConfig
from corarec.data import Dataset
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.recommenders import build_recommender
from corarec.recommenders.answer_head import AnswerHead
from corarec.recommenders.icl import ICLSystem
from corarec.score.scorer import Scorer

RESULT = Path(__file__).parent / "results" / "answer_precision.json"


def main() -> None:
    """Score the same pairs in all ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.load(options.data)
    rows = dataset.rows("valid")
    size = min(options.pairs, len(rows))
    rows = np.sort(np.random.default_rng(0).choice(rows, size, replace=False))
    labels = dataset.labels(rows)
    result: dict[str, object] = {"provenance": provenance(), "pairs": size}
    plain = mock.patch.object(AnswerHead, "precise", return_value=nullcontext())
    for name, dtype, context in (
        ("float32", "float32", nullcontext()),
        ("bfloat16, answers in float32", "bfloat16", nullcontext()),
        ("bfloat16 throughout", "bfloat16", plain),
    ):
        for answer in ("yes", "yes-minus-no"):
            system = ICLSystem(backbone=BackboneConfig(dtype=dtype), answer=answer)
            recommender = build_recommender(system, dataset, None, seed=0)
            with context:
                scores = Scorer(recommender).score(dataset.pairs(rows))
            result[f"{name}, {answer}"] = {
                "auc": float(roc_auc_score(labels, scores)),
                "distinct_scores": len(np.unique(scores)),
            }
    Console().print(result)
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
