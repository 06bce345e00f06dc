"""Write docs/performance.md from the benchmarks' results: `python docs/performance_page.py`."""

import json
from pathlib import Path
from typing import Any

from corarec.files import atomic_file

PAGE = Path(__file__).parent / "performance.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

INTRODUCTION = """\
# Performance

(The tables of this page are written by `python docs/performance_page.py` from the results of the
benchmarks that stand above them. Ways are measured in turn in one process, so that their ratios
hold where the seconds, on another machine or a busy one, do not.)

## Many items of one person

`recommend` and `evaluate-ranking` score many items of one person. Their prompts begin alike: all
that stands before the title, which is most of a prompt. Where what reads it does not depend on the
item, it is read once: in late-activated CoRA (`system.activation: title`), TALLRec, CoLLM, BinLLM,
Prompt4NR, PersonPrompt and ICL. CoRA's increment on the whole prompt is the pair's own from the
first token on, so each prompt is read as a whole.

Whole prompts are tokenised and cut at their longest common beginning, never behind the title's
first token or the first soft token that differs: beginning and rest apart might have other tokens.
Then one of two ways:

- **Shared keys and values**: a function in front of the model's attention, registered with
  Transformers, keeps those of the beginning once. All queries of all rows meet them in one product;
  one softmax joins them with each row's own. For models whose layers all see the whole prompt and
  whose attention goes through Transformers' registry (`sdpa` or `eager`).
- **A copied cache**: for any causal model, with windows, recurrent states or positions in the
  scores, too. The model's own cache of the beginning is copied for each pass; rows of equal length
  go together, so that there is no padding and no mask.

The first items of a run are scored in the plain way, too. Beyond 1e-3 of the largest logit (0.1
where weights are 16-bit) the way is left, and a line says so. Tables of pairs (`score`,
`evaluate`) are scored pair by pair, with the same bits as ever. Blocks that a recipe compiles run
uncompiled here, since compiling takes longer than many people's items.

Prompts of 1,024 items are held at once and 64 are scored in a pass, so memory does not grow with
the number of items; time grows in proportion to it and to the tokens that follow the beginning.
"""
STEP = """\
## A training step

With late activation the tokens before the title see the frozen model only. They are read without
gradients, once for the rows of a batch that have them in common where these are more than one in
twelve, up to the keys and values of the last block; the rest runs with gradients. The loss and its
gradients are those of whole prompts (to 1e-5 in float32: `tests/adapter/test_architectures.py`).
Models that cannot share keys and values run whole prompts, and a line says so; training with
gradient checkpointing runs whole prompts, too.
"""
RANKING_COMMAND = (
    "python benchmarks/ranking_speed.py recipes/ml-1m/cora-als.yaml --set system.activation=title"
)
STEP_COMMAND = "python benchmarks/step_speed.py recipes/ml-1m/cora-als.yaml"


def page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, ranking(_read("ranking_speed")), "", STEP, steps(), ""])


def ranking(result: dict[str, Any]) -> str:
    """Return what sharing saves as a command and a Markdown table."""
    lines = [
        _command(RANKING_COMMAND),
        f"The bundled model, MovieLens-1M, {_threads(result)}:",
        "",
        "| weights | items | way | items/s | times as fast | MB added | largest difference |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for dtype, counts in result["settings"].items():
        for count, ways in counts.items():
            lines += [
                f"| {dtype} | {int(count):,} | {name} | {row['items_per_second']:.0f} | "
                f"{row['times_as_fast']:.1f} | {row['megabytes_added']} | "
                f"{row['largest_difference']:.0e} |"
                for name, row in ways.items()
            ]
    return "\n".join(lines)


def steps() -> str:
    """Return what late activation saves in training."""
    result = _read("step_speed")
    late = {name: row for name, row in result.items() if name.startswith("late")}
    if not late:
        return _command(STEP_COMMAND)
    slowest = max(row["step_seconds"] for row in late.values())
    lines = [
        _command(STEP_COMMAND),
        f"{result['batch_size']} pairs a step, bfloat16, blocks compiled, {_threads(result)}:",
        "",
        "| way | first step, s | step, s | times as fast |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {row['first_step_seconds']:.1f} | {row['step_seconds']:.2f} | "
        f"{slowest / row['step_seconds']:.2f} |"
        for name, row in late.items()
    ]
    return "\n".join(lines)


def _command(text: str) -> str:
    return f"```\n{text}\n```\n"


def _threads(result: dict[str, Any]) -> str:
    count = result["threads"]
    return "one thread" if count == 1 else f"{count} threads"


def _read(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return value


def main() -> None:
    """Write the page."""
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page(), "utf-8")
    print(f"Written to {PAGE}")


if __name__ == "__main__":
    main()
