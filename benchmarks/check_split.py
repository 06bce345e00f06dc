"""Compare our ML-1M split with the one that CoLLM published, row by row.

    python benchmarks/check_split.py ML1M_FOLDER COLLM_ZIP

prepares the split from the MovieLens files, reads CoLLM's pickles without running them, prints how
many values were compared and how many differ, and exits 1 on any difference.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

import numpy as np

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.data.inputs import InputFiles
from corarec.data.pickled_frame import Column, read_pickled_frame
from corarec.data.storage import SPLITS
from corarec.provenance import made_by, provenance

Differences = dict[str, tuple[int, int]]


def compare(movielens: Path, published: Path) -> Differences:
    """Return, by what was compared, how many values were compared and how many differ."""
    with tempfile.TemporaryDirectory() as folder:
        config = PrepareConfig(
            source="movielens", input=movielens, output=Path(folder) / "ml-1m", split="collm-ml1m"
        )
        prepare(config)
        dataset = Dataset.load(config.output)
    files = InputFiles(published)
    tables = {name: _read(files, f"{name}_ood2.pkl") for name in (*SPLITS, "valid_small")}
    result: Differences = {}
    for split in SPLITS:
        for name, counts in _compare_part(dataset, split, tables[split]).items():
            compared, different = result.get(name, (0, 0))
            result[name] = (compared + counts[0], different + counts[1])
    ours = dataset.sample("valid", fraction=0.5, seed=2023)
    result["valid_small"] = _count(ours, tables["valid_small"][""])
    return result


def _read(files: InputFiles, name: str) -> dict[str, Column]:
    member = files.require(name)
    return read_pickled_frame(io.BytesIO(files.read(member)), files.where(member))


def _compare_part(dataset: Dataset, split: str, theirs: dict[str, Column]) -> Differences:
    rows = np.flatnonzero((dataset.interactions["split"] == split).to_numpy())
    if len(rows) != len(theirs["uid"]):
        # Row by row makes no sense then: all of the longer part counts as different.
        size = max(len(rows), len(theirs["uid"]))
        return {"row number": (size, size)}
    ours = dataset.interactions[rows]
    histories = dataset.pairs(rows).histories
    titles = np.array(dataset.titles, dtype=object)
    # Their histories start with the padding item and its empty title.
    our_items = [[0, *histories[n].tolist()] for n in range(len(rows))]
    our_titles = [[titles[item] for item in history] for history in our_items]
    return {
        "row number and part": _count(rows, theirs[""]),
        "user id": _count(ours["user_id"].to_numpy(), theirs["uid"]),
        "item id": _count(ours["item_id"].to_numpy(), theirs["iid"]),
        "label": _count(ours["label"].to_numpy(), theirs["label"]),
        "timestamp": _count(ours["timestamp"].to_numpy(), theirs["timestamp"]),
        "warm": _count(ours["warm"].to_numpy(), theirs["not_cold"] == 1),
        "title": _count(titles[ours["item_id"].to_numpy()], theirs["title"]),
        "history ids": _count_lists(our_items, theirs["his"]),
        "history titles": _count_lists(our_titles, theirs["his_title"]),
    }


def _count(ours: Column, theirs: Column) -> tuple[int, int]:
    if len(ours) != len(theirs):
        size = max(len(ours), len(theirs))
        return size, size
    return len(ours), int((ours != theirs).sum())


def _count_lists(ours: list[list[object]], theirs: Column) -> tuple[int, int]:
    return len(ours), sum(mine != list(other) for mine, other in zip(ours, theirs, strict=True))


def main() -> int:
    """Print the counts; return 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("movielens", type=Path, help="folder or zip of MovieLens-1M")
    parser.add_argument("published", type=Path, help="zip or folder with CoLLM's four pickles")
    arguments = parser.parse_args()
    result = compare(arguments.movielens, arguments.published)
    print(f"{'':22}{'compared':>10}{'differing':>11}")
    for name, (compared, different) in result.items():
        print(f"{name:22}{compared:>10,}{different:>11,}")
    print(made_by({"provenance": provenance()}))
    return int(any(different for _, different in result.values()))


if __name__ == "__main__":
    sys.exit(main())
