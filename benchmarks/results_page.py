"""Write docs/results.md from the files in benchmarks/results: `python benchmarks/results_page.py`.

Every figure on the page comes from one of these files, and each stands under the command that
made it.
"""

import json
from pathlib import Path
from typing import Any

from corarec.files import atomic_file

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "results.md"

PROBED = {"bundled": "bundled", "without votes": "without_votes"}
"""Title of a probed model -> label of its file."""

INTRODUCTION = """\
# Results

Each section names the command that made its figures; `python benchmarks/results_page.py` puts them
together. Trivial references stand in every table: they are strong, and a system that does not beat
them is said not to.
"""

SPLIT = """\
## The ML-1M split, row for row

Prepared from the original files and compared with CoLLM's published pickles.
"""

PARITY = """\
## Parity with the authors' code

A tiny model made with the authors' code, rebuilt through this package: the largest difference of
each tensor, divided by the tensor's largest magnitude. The limit is 3e-5.
"""

CF = """\
## Collaborative filtering on ML-1M

AUC/UAUC on the test part, mean ± standard deviation over three seeds. "Before" is the figure that
an earlier independent run of the same protocol gave. A train AUC far above the validation AUC tells
how much of the training labels the vectors know, which a second stage must not lean on.
"""

CF_NOTE = """\
Said openly: the test figures of MF, LightGCN, MF-b and SASRec were in view while their settings
were tried, and MF-b's size was reconsidered once because of them (32 is also the best on
validation). The settings of ALS were chosen on validation alone.
"""

WORLDS = """\
## Made-up worlds, where the truth is known

CoRA over ridge factors on the bundled language model, beside its CF model alone and text alone
(LoRA of the same rank on the same weights, as many steps). A fifth of the items and a twentieth of
the users are new after training. Settings were chosen on the validation parts of the first two.
"""

WORLDS_NOTE = """\
CoRA recovers what is there. Where both signals exist it is above its CF model and above text alone:
on warm rows as good as the one, on rows of new items as good as the other. Where titles tell all it
equals text alone. Where only interactions tell, text alone is at chance and CoRA is a little above
its CF model.

Rows of new items are learned from those training rows only whose item half was zeroed, so in such
a world `drop_half` must be large: with 0.5 and half the steps CoRA stayed below text alone there.
Said openly: this, too, was settled on validation, but the test figures of the earlier setting had
been seen.
"""

ML1M = """\
## CoRA on MovieLens-1M

With the language model that ships, over five CF models and two joined ones ("rates": the
leave-one-out rates of user and item). "Without votes" is the same recipe of pretraining without the
TMDB votes, which are later than the test part (`corarec pretrain-backbone
recipes/backbone/bundled-without-votes.yaml --output runs/backbone-without-votes`); "random weights"
is the same network untrained.
"""

ML1M_NOTE = """\
What the tables say:

- **CoRA is above its own CF model, over every one of the five.** Far above MF and LightGCN, which
  know nothing about the 43 % of the rows whose user or item is new; by a little, but significantly,
  above MF-b, SASRec and ALS.
- **A part of it is the language model's knowledge**: CoRA-MF-b on the pretrained model is above the
  same on random weights, warm and cold. It takes hundreds of steps: with `train.steps=200` there
  was no difference.
- **Logistic regression on user + item is beaten by none significantly.** CoRA over ALS, alone or
  joined with LightGCN and the rates, has the larger mean; over MF and MF-b CoRA is not
  significantly below, over LightGCN and SASRec it is. What that regression has beyond an item's
  rate is how readily a user likes anything, and these two are trained on likes alone. Joined with
  the leave-one-out rates of user and item LightGCN gains much and is no longer significantly below.
  A difference of 0.005 is below what 320 users can tell from none.
- **Joined CF models are not yet fully used**: the logistic regression of their scores ("fused
  alone") is as good as CoRA over LightGCN and rates.
- **The user half counts for MF and MF-b, not for SASRec**, whose scores alone are no better than
  an item's rate. Nor is CoRA-LightGCN above its shuffled control.
- **Pretraining is worth most of text alone**: little above chance on random weights, far above it
  on the bundled model, on cold rows too, but below the item rate.
- **Part of what text alone knows are the votes**, which are later than these test rows, as any
  modern language model's knowledge is. Pretrained without them the model stays far above random
  weights, learns more slowly and ends lower.

Said openly: steps and `drop_half` were settled on validation after the test figures of 200 steps
had been seen. The 2,000 validation rows promised more than test kept: there CoRA-MF-b and
CoRA over LightGCN and rates were above logistic regression.

What was learned on validation: the scale of the vectors must be one number per half (one per
dimension blows up what the CF model weighs lightly), but one for each model where several are
joined; products of the two vectors help honest CF models only (ALS); vectors fitted on the earlier
rows lose more than their honesty gains; zeroing halves more often costs LightGCN (0.2 there and for
SASRec, 0.5 for the others, which was not compared with 0.2 at as many steps); 200 steps are too few
for text to be learned beside vectors, and without text more than 600 let the generator learn the
training labels by heart.
"""

GENERATOR = """\
### What the vectors alone can give

The generators of the runs above, trained anew with a linear read-out in the place of the language
model: what CoRA has beyond them is the text's. AUC on the {rows:,} validation rows that choose
CoRA's weights (CoRA's figure is the best of three, slightly flattering), mean over seeds.
"""

BACKBONE = """\
## The bundled language model

Linear probes on the last hidden state after `"{title} ({year})"`, over the items of ML-1M: the
genres of films that took no part in the fit (AUC, mean over genres) and the positive rate in the
train part of items that took none (Spearman). "Without votes" is the same recipe without the TMDB
votes, which are later than ML-1M's test period.
"""

BITS = """\
Bits per byte of held-out text, beside a unigram model over the same tokens and zlib. Of reviews and
Wikipedia the rows were never trained on; of the others the renderings, of facts that were, and each
model's own (the unigram and zlib figures are of the bundled model's).
"""

BACKBONE_SPEED = """\
Prompts of 180 tokens, 32 at a time, on one and two threads.
"""

STEP_SPEED = """\
## Speed of a training step

The same steps of {batch_size} pairs on {threads} thread, with the blocks of the language model
compiled (`backbone: {{compile: true}}`) and not. Dropout in a compiled block costs on a CPU what
compiling saves.
"""

FIRST_MINUTES = """\
## A new user's first minutes

A clone into a new folder and the README's two commands on two CPU cores.
"""

SPEED = """\
## Speed of the evaluation
"""


def main() -> None:
    """Write the page."""
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page(), "utf-8")
    print(f"Written to {PAGE}")


def page() -> str:
    """Return the page."""
    parts = [
        INTRODUCTION,
        SPLIT,
        printed("python benchmarks/check_split.py ml-1m collm-ml-1m.zip", "check_split.txt"),
        PARITY,
        printed(
            "python benchmarks/parity.py tests/adapter/data/cora_reference.safetensors",
            "parity.txt",
        ),
        CF,
        command("python benchmarks/cf_ml1m.py data/ml-1m"),
        cf_table(json.loads((RESULTS / "cf_ml1m.json").read_text())["models"]),
        CF_NOTE,
        *studies(WORLDS, ("synthetic-both", "synthetic-text", "synthetic-cf"), WORLDS_NOTE),
        *studies(ML1M, ("ml-1m",), ML1M_NOTE),
        *generator_only(),
        BACKBONE,
        *backbone(),
        BACKBONE_SPEED,
        command("python benchmarks/backbone_speed.py"),
        backbone_speed(json.loads((RESULTS / "backbone_speed.json").read_text())["settings"]),
        *step_speed(),
        *first_minutes(),
        SPEED,
        command("python benchmarks/evaluate_speed.py"),
        evaluation_speed(json.loads((RESULTS / "evaluate_speed.json").read_text())),
    ]
    return "\n".join(parts)


def command(text: str) -> str:
    """Return a command as a code block."""
    return f"```sh\n{text}\n```\n"


def printed(text: str, file: str) -> str:
    """Return a command and what it printed."""
    return f"{command(text)}\n```\n{(RESULTS / file).read_text().rstrip()}\n```\n"


def first_minutes() -> list[str]:
    """Return what a new user saw, if that was recorded."""
    file = "first_minutes.txt"
    if not (RESULTS / file).exists():
        return []
    return [FIRST_MINUTES, printed("benchmarks/first_minutes.sh", file)]


def generator_only() -> list[str]:
    """Return what generators make of CF vectors without a language model, if that was measured."""
    file = RESULTS / "generator_only.json"
    if not file.exists():
        return []
    result = json.loads(file.read_text())
    lines = ["| CF model | alone | generator without text | CoRA |", "|---|---:|---:|---:|"]
    for name, ways in result["models"].items():
        means = (sum(values) / len(values) for values in ways.values())
        lines.append(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    references = ", ".join(
        f"{name[0].lower()}{name[1:]} {value:.3f}" for name, value in result["references"].items()
    )
    return [
        GENERATOR.format(**result),
        command(
            "python benchmarks/generator_only.py runs/ml-1m/cora-{mf,mf-b,lightgcn,sasrec,als}-?"
        ),
        "\n".join(lines) + "\n",
        f"Beside them: {references}.\n",
    ]


def backbone() -> list[str]:
    """Return what the bundled model knows, beside the one that was trained without votes."""
    models = {
        label: json.loads((RESULTS / f"probe_backbone_{name}.json").read_text())
        for label, name in PROBED.items()
        if (RESULTS / f"probe_backbone_{name}.json").exists()
    }
    parts = [
        command(
            "python benchmarks/probe_backbone.py data/ml-1m --run RUN --model RUN/model "
            f"--label {PROBED[label]}"
        )
        for label in models
    ]
    readers = {label: models[label]["probes"]["language model"] for label in models}
    others = models["bundled"]["probes"]
    readers |= {name: others[name] for name in ("random weights", "title words", "year")}
    lines = ["| reader | genres, AUC | positive rate, Spearman |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {row['genre_auc']:.3f} | {row['rate_spearman']:.3f} |"
        for name, row in readers.items()
    ]
    bits = [
        f"| text | {' | '.join(models)} | unigram | zlib |",
        "|---|" + "---:|" * (len(models) + 2),
    ]
    for source, row in models["bundled"]["bits_per_byte"].items():
        values = [models[label]["bits_per_byte"][source]["model"] for label in models]
        cells = " | ".join(f"{value:.2f}" for value in [*values, row["unigram"], row["zlib"]])
        bits.append(f"| {source} | {cells} |")
    return [*parts, "\n".join(lines) + "\n", BITS, "\n".join(bits) + "\n"]


def backbone_speed(settings: list[dict[str, Any]]) -> str:
    """Return how fast the bundled model loads and reads as a Markdown table."""
    lines = [
        "| precision | threads | seconds to load | tokens per second | MB loaded | MB at peak |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['dtype']} | {row['threads']} | {row['load_seconds']} | "
        f"{row['tokens_per_second']:,} | {row['megabytes_loaded']} | {row['megabytes_at_peak']} |"
        for row in settings
    ]
    return "\n".join(lines) + "\n"


def step_speed() -> list[str]:
    """Return what compiling the blocks saves, if that was measured."""
    file = RESULTS / "step_speed.json"
    if not file.exists():
        return []
    speed = json.loads(file.read_text())
    ways = {name: row for name, row in speed.items() if isinstance(row, dict)}
    plain = ways["plain"]["step_seconds"]
    lines = [
        "| blocks | first step, s | step, s | times as fast | scoring a batch, s |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {row['first_step_seconds']:.1f} | {row['step_seconds']:.2f} | "
        f"{plain / row['step_seconds']:.2f} | {row['score_seconds']:.2f} |"
        for name, row in ways.items()
    ]
    return [
        STEP_SPEED.format(**speed),
        command("python benchmarks/step_speed.py recipes/ml-1m/cora-mf.yaml"),
        "\n".join(lines) + "\n",
    ]


def cf_table(models: dict[str, Any]) -> str:
    """Return the CF models as a Markdown table."""
    lines = [
        "| model | all | before | warm | cold | train AUC | validation AUC | CPU seconds |",
        "|---|---|---|---|---|---:|---:|---:|",
    ]
    for name, model in models.items():
        mean, deviation = model["mean"], model["deviation"]
        whole = " / ".join(
            f"{mean[f'all_{metric}']:.3f} ± {deviation[f'all_{metric}']:.3f}"
            for metric in ("auc", "uauc")
        )
        warm, cold = (
            f"{mean[f'{part}_auc']:.3f}/{mean[f'{part}_uauc']:.3f}" for part in ("warm", "cold")
        )
        before = "/".join(f"{value:.3f}" for value in model["reference"] or ()) or "-"
        lines.append(
            f"| {name} | {whole} | {before} | {warm} | {cold} | {mean['train_auc']:.3f} | "
            f"{mean['valid_auc']:.3f} | {mean['cpu_seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def studies(introduction: str, names: tuple[str, ...], note: str) -> list[str]:
    """Return the studies that have been made, with their commands."""
    parts = []
    for name in names:
        for file in sorted(RESULTS.glob(f"study-{name}-*.md")):
            parts += [command(f"python benchmarks/study.py benchmarks/studies/{name}.yaml")]
            parts += [file.read_text()]
    return [introduction, *parts, note] if parts else []


def evaluation_speed(speed: dict[str, Any]) -> str:
    """Return the speed of the bootstrap in a sentence."""
    return (
        f"{speed['rows']:,} rows of {speed['users']:,} users with {speed['draws']:,} bootstrap "
        f"draws: {speed['all_rows_seconds']:.1f} s on one core, "
        f"{speed['all_warm_cold_seconds']:.1f} s with the warm and the cold part. A loop over "
        f"users takes {speed['naive_over_ours']:,.0f} times as long (extrapolated).\n"
    )


if __name__ == "__main__":
    main()
