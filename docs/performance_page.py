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
benchmarks that stand above them. Ways are measured in turn in one process, in seconds of the
processor, so that their ratios hold where the seconds, on another machine or a busy one, do not.)

## Tables of pairs

`score` and `evaluate` give the scores of the plain way within 1e-5 in float32, for less work:

- **The last block for the last position.** Behind the last block only the last token is read. So
  that block makes keys and values of all tokens, and queries, output projection and feed-forward of
  one. It is found by running the model, not by its name; a trial with made-up prompts decides, and
  a model that cannot be cut (recurrent or mixed last blocks, an attention outside Transformers'
  registry) runs as it is. Of a model of L blocks this saves about 0.8 / L.
- **Batches by tokens.** A chunk of 10,000 pairs is tokenised once and sorted by exact lengths;
  a forward pass takes 4,096 tokens on a CPU, 16,384 on a GPU. (Packing prompts without padding is
  not built: see what is left of it below.)
- **Beginnings once.** With late activation, and for systems whose weights are the same for all
  pairs, rows of one user that show the same history stand together, and what comes before the title
  is read once for them. On MovieLens-1M's test part 44 of 100 rows repeat the beginning of another.
- **Queries in blocks.** On a CPU, with 16-bit weights, queries go in three blocks, each to the keys
  up to its end: attention is a large share there, and would compute what a
  causal model then hides.
- **A pair once.** A pair that comes several times in a pass is generated once.
- **Nothing compiled.** Passes are of many sizes, each of which would be compiled anew until
  torch's limit. So blocks that a recipe compiles run as they were: the first scores come sooner,
  and bits do not depend on what a process scored before. A table of many thousand pairs would
  gain by compiling.

Training and its validations run the plain way, to the bit as before.
"""
GROWTH = """\
Tokenising is what `score` takes beyond `exact`. That is too little for tokens to be put together
from those of titles, whose equality with those of whole prompts would have to be proven for every
tokenizer.

Time is bound by the products of the linear layers: it grows in proportion to the pairs and, up to
some thousand tokens, to the length of the prompts, and in proportion to the parameters of the
blocks. The vocabulary counts once per pair, and with the paper's equations, which project every
position onto it, once per token: the larger it is beside the blocks, the more is saved. Memory does
not grow with the number of pairs beyond a chunk's tokens.

`corarec profile RECIPE` (or a run) says where the time of scoring goes on the machine at hand:
tokens, generator, linear layers, attention, increment, vocabulary; tokens a second; and how much of
a measured matmul peak is reached. Blocks that a recipe compiles run uncompiled there.
"""
RANKING = """\
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
  scores, too. The model's own cache of the beginning is copied for each pass. Shorter rows are
  filled up behind their end, where a causal model does not look, so that there is no mask and every
  position is the default one.

The first items of a run are scored in the plain way, too. Beyond 1e-3 of the largest logit (0.1
where weights are 16-bit) the way is left, and a line says so. Blocks that a recipe compiles run
uncompiled here, since compiling takes longer than many people's items.

Rows of like length share a pass, in multiples of 8: of all ways to cut them so, the one with the
least tokens, where a pass counts as 128 more. Prompts of 1,024 items are held at once, and a pass
has 128 rows at most, with a copied cache 64. So what is held does not grow with the number of
items. What libraries keep does for a while: oneDNN a kernel for each shape that it met, 1,024 of
them at most, and the allocator pages that are free. Time grows in proportion to the number of items
and to the tokens that follow the beginning.
"""
TRAINING = """\
## A training step

With late activation the tokens before the title see the frozen model only. They are read without
gradients, once for the rows of a batch that have them in common where these are more than one in
twelve, up to the keys and values of the last block; the rest runs with gradients. The loss and its
gradients are those of whole prompts (to 1e-5 in float32: `tests/adapter/test_architectures.py`).
Models that cannot share keys and values run whole prompts, and a line says so; training with
gradient checkpointing runs whole prompts, too. What compiling adds stands in
[results.md](results.md#speed-of-a-training-step).
"""
WORKERS = """\
## Several processes

`score`, `evaluate` and `evaluate-ranking` with `--workers N` ([workers.md](workers.md)) give the
bits of one process for every N, and lose nothing of what was done when processes are killed.
"""
KILLS_COMMAND = "python benchmarks/workers.py kills"
SPEED_COMMAND = "python benchmarks/workers.py speed runs/cora-mf-b"
SCORING_COMMAND = "python benchmarks/scoring_speed.py data/ml-1m --tokenizer LLAMA_TOKENIZER.model"
MODELS = {"bundled": "the bundled model", "llama-41m": "a Llama of 41 M parameters"}
STEP = "step_seconds"
STEP_COMMAND = "python benchmarks/step_speed.py recipes/ml-1m/cora-als.yaml"


DATA = """\
## Much data

Ratings are made up: 200,000 users, 20,000 items whose popularity falls with one over the rank. Each
figure is of a process of its own, start of Python included; seconds of the clock are of a machine
with other work, seconds of the processor of all its threads. Nothing is extrapolated: what was not
measured is not in the tables.

`prepare` passes over the text five times (encoding, form of the lines, numbers, the rows, SHA-256),
without Python per row, and is bound by reading text. Memory is that of the rows, in a few numbers
each: it is the sort by user and time that holds them twice.
"""
FITTING = """\
`fit-cf`, one epoch where a model has epochs, with the loading of the dataset; `fit` is the fit
alone, on the clock. What bounds the fit:

- `rates`, `popularity`: sorting the rows.
- `item-knn`: the squares of the lengths of the users' histories and of the number of items, in
  memory in proportion to both. `ease`: the third power of the number of items, whatever the rows;
  12 bytes for each pair of items, and above `max_items` it is refused with the memory that it would
  take.
- `als`, `content`: rows, times the square of the size of what is regressed on. A training row has
  vectors of its own, so rows are scored two millions at a time.
- `mf`, `mf-b`, `binary-mf`: Adam moves every embedding in every step, so an epoch takes rows, and
  users and items times its steps: 512 at most (`most_steps`), of more rows where there are more.
- `lightgcn`: each of its steps, 64 an epoch at most, smooths the whole graph, so an epoch is in
  proportion to the rows; the last layer is smoothed for the batch alone, and a prediction smooths
  once.
- `sasrec`, `sasrec-ce`: attention over distinct histories, cut at the longest of a batch; up to
  `max_length` numbers are kept for each. `sasrec-ce` compares each item of a batch with all others,
  a million pairs at a time, so that memory does not grow with the catalogue but for its vectors.
- `statistics`: all rows are counted; which items were rated together, of the 4,000 with most rows
  (`neighbour_items`), takes the squares of the lengths of the users' histories, and most of the
  time where rows are many. The score is learned from a million rows at most.
"""
DATA_COMMAND = "python benchmarks/data_speed.py prepare"
FITTING_COMMAND = "python benchmarks/data_speed.py models --threads 1"


SERVICE = """\
## A service

`corarec serve` puts the requests of all clients into the batches of one scoring thread: the more
ask at once, the nearer it comes to what the scorer does offline.
"""


def page() -> str:
    """Return the page."""
    speed = _read("scoring_speed")
    parts = [
        INTRODUCTION,
        scoring(speed),
        "",
        GROWTH,
        RANKING,
        ranking(speed),
        "",
        TRAINING,
        steps(),
    ]
    parts += ["", WORKERS, workers(), "", DATA, data(), "", SERVICE, service(), ""]
    return "\n".join(parts)


def scoring(result: dict[str, Any]) -> str:
    """Return what scoring costs beside the frozen model as a command and a Markdown table."""
    lines = [
        _command(SCORING_COMMAND),
        f"Prompts of MovieLens-1M's test part, {_threads(result)}. `exact` is scoring of the "
        "frozen model's own batches, `score` goes from text to scores:",
        "",
        "| model | weights | way | pairs/s | of the frozen model | times the paper's equations |",
        "|---|---|---|---:|---:|---:|",
    ]
    for model, dtype, entry in _entries(result, "scoring"):
        lines += [
            f"| {MODELS[model]} | {dtype} | {name} | {row['pairs_per_second']:.1f} | "
            f"{row['of_frozen']:.2f} | {row['times_the_equations']:.1f} |"
            for name, row in entry["ways"].items()
        ]
    if share := result.get("padding"):
        lines += [
            "",
            f"Of the tokens of MovieLens-1M's test part {share['in passes']:.1%} are padding, "
            f"against {share['as they come']:.1%} in batches of 64 as rows come: packing without "
            "padding could save no more than that.",
        ]
    return "\n".join(lines)


def ranking(result: dict[str, Any]) -> str:
    """Return what sharing saves as a Markdown table."""
    lines = [
        "By the same command:",
        "",
        "| model | weights | items | way | items/s | times as fast | MB added |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    for model, dtype, counts in _entries(result, "ranking"):
        for count, ways in counts.items():
            lines += [
                f"| {MODELS[model]} | {dtype} | {int(count):,} | {name} | "
                f"{row['items_per_second']:.0f} | {row['times_as_fast']:.1f} | "
                f"{row['megabytes_added']} |"
                for name, row in ways.items()
            ]
    return "\n".join(lines)


def _entries(result: dict[str, Any], part: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (model, dtype, entry[part])
        for model, by_dtype in result["models"].items()
        for dtype, entry in by_dtype.items()
        if part in entry
    ]


def steps() -> str:
    """Return what late activation saves in training."""
    name, command = "step_speed", STEP_COMMAND
    if (RESULTS / f"{name}_uncompiled.json").exists():
        name, command = f"{name}_uncompiled", f"{STEP_COMMAND} --uncompiled"
    result = _read(name)
    ways = {name: row for name, row in result.items() if isinstance(row, dict) and STEP in row}
    beside = "the paper's equations" if "the paper's equations" in ways else "plain"
    lines = [
        _command(command),
        f"{result['batch_size']} pairs a step, bfloat16, {_threads(result)}:",
        "",
        f"| way | first step, s | step, s | times as fast as {beside} |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {row['first_step_seconds']:.1f} | {row[STEP]:.2f} | "
        f"{ways[beside][STEP] / row[STEP]:.2f} |"
        for name, row in ways.items()
    ]
    return "\n".join(lines)


def workers() -> str:
    """Return what processes that are killed lose, and how fast several are."""
    if not (RESULTS / "workers.json").exists():
        return f"{_command(KILLS_COMMAND)}\n{_command(SPEED_COMMAND)}Not measured yet."
    result = _read("workers")
    kills, lines = result["kills"], [_command(KILLS_COMMAND)]
    lines += [
        f"Runs over {kills['pairs']:,} pairs with two processes: {kills['runs']}, in which "
        f"{kills['killed']} processes were ended by SIGKILL at random moments: "
        f"{kills['same_bits']} of {kills['runs']} tables are, byte for byte, that of one process "
        "left alone.",
    ]
    if speed := result.get("speed"):
        (many, seconds), (one, of_one) = speed["seconds"].items()
        same = "the same bits" if speed["same_bits"] else "other bits"
        lines += [
            "",
            _command(SPEED_COMMAND),
            f"The same {speed['pairs']:,} pairs, in turn, {speed['rounds']} times, the least "
            f"seconds of each: {seconds:.1f} by {many}, {of_one:.1f} by {one} "
            f"({of_one / seconds:.2f} times as fast), with {same}.",
        ]
    return "\n".join(lines)


def data() -> str:
    """Return what preparing and fitting cost as commands and Markdown tables."""
    result = _read("data_speed")
    columns = "s | s of the processor | peak, MB | threads |"
    lines = [_command(DATA_COMMAND), f"| layout | rows | input, MB | {columns}"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    lines += [
        f"| {layout} | {int(rows):,} | {cell['input_megabytes']} | {_cost(cell)}"
        for layout, cells in result["prepare"].items()
        for rows, cell in cells.items()
    ]
    lines += ["", FITTING, _command(FITTING_COMMAND), f"| model | rows | fit, s | {columns}"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    lines += [
        f"| {name} | {int(rows):,} | {cell.get('fit_seconds', cell['ended'])} | {_cost(cell)}"
        for name, cells in result.get("models", {}).items()
        for rows, cell in cells.items()
    ]
    return "\n".join(lines)


def _cost(cell: dict[str, Any]) -> str:
    return (
        f"{cell['seconds']:.0f} | {cell['processor_seconds']:.1f} | {cell['peak_megabytes']:,} "
        f"| {cell['threads']} |"
    )


def service() -> str:
    """Return what a service answers under load, when killed, and to odd requests."""
    load, faults, odd, soak = (
        _read(f"serve_{name}") for name in ("load", "faults", "fuzz", "soak")
    )
    megabytes = soak["megabytes_each_minute"]
    offline, more = load["offline_pairs_per_second"], load["beyond_the_queue"]
    lines = [
        _command(f"python benchmarks/serve_load.py RUN --seconds {load['seconds']:.0f}"),
        f"{load['seconds']:.0f} seconds for each number of clients, "
        f"{load['pairs_per_request']} pairs a request, the service on one thread; offline the same "
        f"scorer makes {min(offline):.0f} to {max(offline):.0f} pairs/s.",
        "",
        "| clients | requests/s | pairs/s | of offline | p50 ms | p95 ms | p99 ms |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in load["load"]:
        times = " | ".join(f"{row['milliseconds'][key]:,.0f}" for key in ("p50", "p95", "p99"))
        lines.append(
            f"| {row['clients']} | {row['requests_per_second']:.1f} "
            f"| {row['pairs_per_second']:.1f} | {row['share_of_offline']:.2f} | {times} |"
        )
    statuses = ", ".join(f"{count:,} times {code}" for code, count in more["statuses"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"{more['clients']} clients at a queue of {more['queue_requests']}: {statuses}; the "
            f"first answer after the load took {more['seconds_to_an_answer_after']:.1f} seconds.",
            "",
            _command(f"python benchmarks/serve_soak.py RUN --minutes {soak['minutes']}"),
            f"{soak['clients']} clients for {soak['minutes']} minutes, "
            f"{sum(soak['requests_each_minute']):,} requests of all kinds, ever new shapes among "
            f"them: {megabytes[0]:,} MB when it was ready, {min(megabytes[1:]):,} to "
            f"{max(megabytes[1:]):,} MB at the end of each minute. Over the second half that rose "
            f"by {soak['megabytes_per_minute_in_the_second_half']:.1f} MB a minute, by least "
            "squares.",
            "",
            _command(f"python benchmarks/serve_faults.py RUN --kills {faults['kills']}"),
            f"{faults['kills']} times SIGKILL under {faults['clients']} writers: of "
            f"{faults['acknowledged']:,} acknowledged events {faults['lost']} were lost and "
            f"{faults['doubled']} doubled.",
            "",
            _command("python benchmarks/serve_fuzz.py RUN"),
            f"{odd['cases']:,} requests made of the OpenAPI document: "
            f"{sum(odd['answers_5xx'].values())} answers with a 5xx but the health check's 503.",
        ]
    )


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
