"""The results of a suite as tables: in the terminal, in Markdown, in LaTeX."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from corarec.benchmark.suite_result import RowFacts, RunFacts, SuiteResult
from corarec.evaluate.metrics import metric_title
from corarec.evaluate.result import Evaluation
from corarec.files import atomic_file
from corarec.provenance import made_by
from corarec.report.latex import latex, latex_table
from corarec.report.layout import MISSING, TableText, estimate_text, interval_text, markdown_table
from corarec.report.tables import comparison_text, metric_of, results_note
from corarec.report.terminal import TerminalTable

_COMMIT = 9


def suite_text(result: SuiteResult) -> TableText:
    """Lay out the metrics: a row per system and per trivial reference, what is published beside."""
    shown = {one.name: one for one in result.systems}
    names = [*result.rows, *(name for name in shown if name not in result.rows)]
    parts = _parts(result)
    published = _sources(result)
    columns = ["System", "seeds"]
    for metric in result.metrics:
        columns += [metric_title(metric), "interval"]
        columns += [f"{metric_title(metric)} ({source})" for source in published.get(metric, ())]
    columns += [f"{part} {metric_title(one)}" for part in parts for one in result.metrics]

    def row(name: str, found: Evaluation | None, facts: RowFacts | None) -> tuple[str, ...]:
        cells = [name, _seeds(found, facts)]
        for metric in result.metrics:
            estimate = metric_of(found, "all", metric) if found else None
            cells += [estimate_text(estimate), interval_text(estimate)]
            cells += [_published(facts, metric, source) for source in published.get(metric, ())]
        for part in parts:
            cells += [
                estimate_text(metric_of(found, part, metric)) if found else MISSING
                for metric in result.metrics
            ]
        return tuple(cells)

    return TableText(
        tuple(columns),
        [row(name, shown.get(name), result.rows.get(name)) for name in names],
        [row(one.name, one, None) for one in result.references],
        results_note(result),
    )


def published_text(result: SuiteResult) -> TableText | None:
    """Lay out the rows of which something is published; None without any."""
    found = suite_text(result)
    sources = [source for several in _sources(result).values() for source in several]
    titles = {metric_title(metric) for metric in result.metrics}
    kept = [
        place
        for place, column in enumerate(found.columns)
        if place == 0
        or column in titles
        or any(column == f"{title} ({source})" for title in titles for source in sources)
    ]
    published = {name for name, row in result.rows.items() if row.published}
    rows = [tuple(row[place] for place in kept) for row in found.systems if row[0] in published]
    if not rows:
        return None
    note = "What others published of their own data, models and splits, beside what was measured."
    return TableText(tuple(found.columns[place] for place in kept), rows, [], note)


def cost_text(result: SuiteResult) -> TableText:
    """Lay out what the runs cost and what made them: a row per system that was run."""
    made = {name: row for name, row in result.rows.items() if row.runs}
    columns: dict[str, Callable[[list[RunFacts]], str]] = {
        "trained parameters": lambda runs: _numbers(
            [run.trainable_parameters for run in runs], max, "{:,.0f}"
        ),
        "steps": lambda runs: _numbers([run.steps for run in runs], fmean, "{:,.0f}"),
        "on validation": _validated,
        "minutes": lambda runs: _numbers([_minutes(run.seconds) for run in runs], fmean, "{:,.1f}"),
        "CPU minutes": lambda runs: _numbers(
            [_minutes(run.cpu_seconds) for run in runs], fmean, "{:,.1f}"
        ),
        "peak MB": lambda runs: _numbers([run.peak_memory_mb for run in runs], max, "{:,.0f}"),
        "peak GPU MB": lambda runs: _numbers(
            [run.peak_gpu_memory_mb for run in runs], max, "{:,.0f}"
        ),
        "recipe": lambda runs: ", ".join(dict.fromkeys(run.recipe[:8] for run in runs[:1])),
        "commit": lambda runs: ", ".join(dict.fromkeys(map(_commit, runs))),
    }
    return TableText(
        ("System", *columns),
        [(name, *(cell(row.runs) for cell in columns.values())) for name, row in made.items()],
        [],
        "Training: minutes, steps and what chose the weights on validation are means over seeds, "
        "memory and parameters the largest; a "
        "fit of CF models that runs share is not in them. The recipe, by its digest, is that of "
        "the first seed; the commit is that of the code at training. "
        f"{MISSING} is what was not recorded.",
    )


def suite_markdown(result: SuiteResult, *, heading: bool = True) -> str:
    """Return everything as Markdown, the title as a heading or left out."""
    texts = [suite_text(result)]
    if result.comparisons:
        texts.append(comparison_text(result.comparisons))
    texts.append(cost_text(result))
    return "\n".join(
        [
            *([f"# {suite_title(result)}", ""] if heading else []),
            *([result.notes.strip(), ""] if result.notes.strip() else []),
            *([*(f"- {each}" for each in result.missing), ""] if result.missing else []),
            *map(markdown_table, texts),
            f"{work_done(result)} {made_by(result.model_dump())}",
            "",
        ]
    )


def suite_latex(result: SuiteResult) -> str:
    """Return everything as LaTeX tables."""
    title, label = suite_title(result), result.suite
    tables = [latex_table(suite_text(result), title, label)]
    if result.comparisons:
        text = comparison_text(result.comparisons)
        tables.append(latex_table(text, f"{title}: paired differences", f"{label}-differences"))
    tables.append(latex_table(cost_text(result), f"{title}: cost", f"{label}-cost"))
    missing = [f"% {latex(each)}" for each in result.missing]
    return "\n".join([r"% \usepackage{booktabs}", *missing, *tables])


def suite_tables(result: SuiteResult) -> list[TerminalTable]:
    """Return the tables for a rich console."""
    tables = [TerminalTable(suite_text(result), suite_title(result))]
    if result.comparisons:
        tables.append(TerminalTable(comparison_text(result.comparisons), "Paired differences"))
    return [*tables, TerminalTable(cost_text(result), "Cost")]


def write_suite_tables(result: SuiteResult, folder: Path) -> list[Path]:
    """Write `results.md` and `results.tex`; return where they are."""
    texts = {"results.md": suite_markdown(result), "results.tex": suite_latex(result)}
    for name, text in texts.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_text(text, "utf-8")
    return [folder / name for name in texts]


def suite_title(result: SuiteResult) -> str:
    """Return what a suite is called: its title, or what it is and of which data."""
    return " ".join(result.title.split()) or f"{result.suite}: {result.dataset}, {result.split}"


def work_done(result: SuiteResult) -> str:
    """Say how many runs the tables stand on, and how long those took."""
    runs = "1 run" if result.runs == 1 else f"{result.runs:,} runs"
    return f"{runs}, {result.hours:.1f} hours of training and validation in all."


def _parts(result: SuiteResult) -> list[str]:
    names = (part for one in (*result.systems, *result.references) for part in one.parts)
    return [part for part in dict.fromkeys(names) if part != "all"]


def _sources(result: SuiteResult) -> dict[str, list[str]]:
    """Return by metric who has published something of it."""
    return {
        metric: list(
            dict.fromkeys(
                each.source
                for row in result.rows.values()
                for each in row.published
                if metric in each.metrics
            )
        )
        for metric in result.metrics
    }


def _seeds(found: Evaluation | None, facts: RowFacts | None) -> str:
    there = found.seeds if found else 0
    if facts is None or there == facts.seeds_wanted:
        return str(there)
    return f"{there} of {facts.seeds_wanted}"


def _published(facts: RowFacts | None, metric: str, source: str) -> str:
    for each in facts.published if facts else ():
        if each.source == source and metric in each.metrics:
            return f"{each.metrics[metric]:.4f}"
    return MISSING


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60


def _numbers(
    values: Sequence[float | None], joined: Callable[[list[float]], float], form: str
) -> str:
    known = [value for value in values if value is not None]
    return form.format(joined(known)) if known else MISSING


def _validated(runs: Sequence[RunFacts]) -> str:
    """Return the mean of what chose the kept weights: `AUC 0.742`."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for metric, value in run.validation.items():
            found.setdefault(metric, []).append(value)
    texts = [f"{metric_title(metric)} {fmean(values):.3f}" for metric, values in found.items()]
    return ", ".join(texts) or MISSING


def _commit(run: RunFacts) -> str:
    if run.commit is None:
        return MISSING
    head, plus, changes = run.commit.partition("+")
    return head[:_COMMIT] + plus + changes
