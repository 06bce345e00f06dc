"""How fast the bundled language model loads and reads, and how much memory it takes.

    python benchmarks/backbone_speed.py

Each setting (one and two threads, float32 and bfloat16) runs in a process of its own: load, then
read batches of 32 prompts of 180 tokens with the logits of the last position alone, as a
recommender does. Prints a table and writes benchmarks/results/backbone_speed.json. Ratios between
settings carry over to other machines, the figures themselves do not.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from corarec.backbone import BackboneConfig, load_backbone
from corarec.files import write_json
from corarec.provenance import provenance

RESULT = Path(__file__).parent / "results" / "backbone_speed.json"
BATCH, TOKENS = 32, 180
KILOBYTES = 1024


def measure(model: str, dtype: str, threads: int, seconds: float) -> dict[str, Any]:
    """Load the model, read for a while, and return the figures of one setting."""
    torch.set_num_threads(threads)
    before = _peak_megabytes()
    begun = time.perf_counter()
    backbone = load_backbone(BackboneConfig.model_validate({"model": model, "dtype": dtype}))
    load_seconds = time.perf_counter() - begun
    loaded = _peak_megabytes()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, len(backbone.tokenizer), (BATCH, TOKENS), generator=generator)
    times: list[float] = []
    with torch.inference_mode():
        backbone.model(input_ids=ids, logits_to_keep=1, use_cache=False)
        while sum(times) < seconds:
            begun = time.perf_counter()
            backbone.model(input_ids=ids, logits_to_keep=1, use_cache=False)
            times.append(time.perf_counter() - begun)
    # The best of many: other programs can only make it slower.
    best = min(times)
    return {
        "dtype": dtype,
        "threads": threads,
        "load_seconds": round(load_seconds, 2),
        "tokens_per_second": round(BATCH * TOKENS / best),
        "prompts_per_second": round(BATCH / best, 1),
        "megabytes_loaded": round(loaded - before),
        "megabytes_at_peak": round(_peak_megabytes()),
    }


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES


def main() -> None:
    """Measure every setting in its own process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled", help="`bundled`, a folder or a hub name")
    parser.add_argument("--seconds", type=float, default=10.0, help="reading time per setting")
    parser.add_argument("--setting", nargs=2, metavar=("DTYPE", "THREADS"), help="measure one only")
    options = parser.parse_args()
    if options.setting:
        dtype, threads = options.setting
        print(json.dumps(measure(options.model, dtype, int(threads), options.seconds)))
        return
    command = [
        sys.executable,
        __file__,
        "--model",
        options.model,
        "--seconds",
        str(options.seconds),
    ]
    results = []
    for threads in ("1", "2"):
        for dtype in ("float32", "bfloat16"):
            child = subprocess.run(
                [*command, "--setting", dtype, threads], check=True, capture_output=True, text=True
            )
            results.append(json.loads(child.stdout.splitlines()[-1]))
    table = Table(title=f"{options.model}: {BATCH} prompts of {TOKENS} tokens")
    for column in results[0]:
        table.add_column(column)
    for result in results:
        table.add_row(*(str(value) for value in result.values()))
    Console().print(table)
    write_json(
        RESULT,
        {
            "provenance": provenance(),
            "model": options.model,
            "processor": platform.processor() or platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "settings": results,
        },
    )


if __name__ == "__main__":
    main()
