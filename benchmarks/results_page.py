"""Write docs/results.md from the files in benchmarks/results: `python benchmarks/results_page.py`.

Every figure on the page comes from one of these files, and each stands under the command that
made it.
"""

import json
import statistics
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from corarec.ability.measured import BITS, MOVED, SAME
from corarec.ability.result import UNTOUCHED, AbilityTable
from corarec.benchmark.suite_result import RowFacts, SuiteResult
from corarec.evaluate import Evaluation, RankingComparison, RankingEvaluation, ResultTable
from corarec.evaluate.metrics import metric_title
from corarec.evaluate.significance import corrected_p_values, verdict
from corarec.files import atomic_file
from corarec.provenance import NOT_RECORDED, made_by
from corarec.report.ability import ability_texts, corrected_tests
from corarec.report.layout import (
    MISSING,
    TableText,
    estimate_text,
    interval_text,
    markdown_table,
    p_value_text,
    signed,
)
from corarec.report.ranking_tables import corrected_p_values as ranking_p_values
from corarec.report.suite_tables import suite_markdown
from corarec.report.tables import markdown
from corarec.score.joined import PARTS, JoinedRanking

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "results.md"

OWN = {
    name: (f"CoRA-{name}", f"CoRA-{name} | {name.lower()} alone")
    for name in ("MF", "MF-b", "LightGCN", "SASRec", "ALS")
}
"""CF model -> CoRA over it and the model alone, as the suite calls them."""


def main() -> None:
    """Write the page."""
    with atomic_file(PAGE) as temporary:
        temporary.write_text(page(), "utf-8")
    print(f"Written to {PAGE}")


def page() -> str:
    """Return the page: the prose of its template around the tables of this file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("results.md.jinja").render(
        read=read,
        command=command,
        printed=printed,
        made_by=made_by,
        suite=suite,
        claims=Claims(results_of(read("study-ml-1m-test.json"))),
        claims_of=claims_of,
        overall=claims_of("overall"),
        measured=Measured("overall"),
        backbones=Measured("backbones"),
        cf_table=cf_table,
        streaming_table=streaming_table,
        generator_only=generator_only,
        probes=probes,
        bits=bits,
        backbone_speed=backbone_speed,
        step_speed=step_speed,
        ability=ability,
        cllm4rec=cllm4rec,
        ranking=ranking,
        joined_parts=joined_parts,
        learned=learned,
        ndcg=ndcg,
        study=study,
        studies=studies,
        told_apart=told_apart,
        costs=costs,
        tuning=tuning,
    )


def read(file: str) -> Any:
    """Return a file of results; None where that was not measured."""
    path = RESULTS / file
    return json.loads(path.read_text()) if path.exists() else None


def command(text: str) -> str:
    """Return a command as a code block."""
    return f"```sh\n{text}\n```"


def printed(text: str, file: str) -> str:
    """Return a command and what it printed."""
    output = (RESULTS / file).read_text().rstrip()
    unknown = "" if " commit " in output else f"\n\n{NOT_RECORDED.capitalize()}."
    return f"{command(text)}\n\n```\n{output}\n```{unknown}"


def generator_only(result: dict[str, Any]) -> str:
    """Return what generators make of CF vectors without a language model."""
    titles = {
        "alone": "alone",
        "regression": "regression on its vectors",
        "generator": "generator without text",
        "cora": "CoRA",
    }
    # Results from before there was a regression have none.
    shown = [way for way in titles if all(way in ways for ways in result["models"].values())]
    lines = [f"| CF model | {' | '.join(titles[way] for way in shown)} |"]
    lines.append(f"|---|{'---:|' * len(shown)}")
    for name, ways in result["models"].items():
        means = (sum(ways[way]) / len(ways[way]) for way in shown)
        lines.append(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    references = ", ".join(
        f"{name[0].lower()}{name[1:]} {value:.3f}" for name, value in result["references"].items()
    )
    return "\n".join(lines) + f"\n\nBeside them: {references}."


def probes(bundled: dict[str, Any], without_votes: dict[str, Any]) -> str:
    """Return what the bundled model knows, beside the one that was trained without votes."""
    readers = {
        "bundled": bundled["probes"]["language model"],
        "without votes": without_votes["probes"]["language model"],
    }
    readers |= {name: bundled["probes"][name] for name in ("random weights", "title words", "year")}
    lines = ["| reader | genres, AUC | positive rate, Spearman |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {row['genre_auc']:.3f} | {row['rate_spearman']:.3f} |"
        for name, row in readers.items()
    ]
    return "\n".join(lines)


def bits(bundled: dict[str, Any], without_votes: dict[str, Any]) -> str:
    """Return the bits per byte of held-out text."""
    lines = ["| text | bundled | without votes | unigram | zlib |", "|---|---:|---:|---:|---:|"]
    for source, row in bundled["bits_per_byte"].items():
        other = without_votes["bits_per_byte"][source]["model"]
        values = (row["model"], other, row["unigram"], row["zlib"])
        lines.append(f"| {source} | {' | '.join(f'{value:.2f}' for value in values)} |")
    return "\n".join(lines)


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
    return "\n".join(lines)


def ability(found: dict[str, Any]) -> str:
    """Return general ability: how far every state is from the untouched model, then all tables."""
    table = AbilityTable.model_validate(found)
    lines = [
        "| state | same greedy answer, mean of files | log-probability moved, mean of files | "
        "bits per byte more | bit-identical |",
        "|---|---:|---:|---|---|",
    ]
    for state in table.states:
        if state.name == UNTOUCHED:
            continue
        means = [
            sum(values) / len(values)
            for values in (
                [each.estimate.value for each in state.findings if each.measure == measure]
                for measure in (SAME.name, MOVED.name)
            )
        ]
        more = ", ".join(
            f"{test.task} {signed(test.difference.value)} {interval_text(test.difference)}"
            for test in table.tests
            if (test.name, test.measure) == (state.name, BITS.name)
        )
        identical = "yes" if state.bit_identical else "no"
        lines.append(f"| {state.name} | {means[0]:.1%} | {means[1]:.3f} | {more} | {identical} |")
    minutes = sum(state.seconds for state in table.states) / 60
    texts = ability_texts(table)
    clear = clear_changes(table)
    said = "; ".join(f"{name} in {task}, {measure}" for name, task, measure in clear) or "none"
    return "\n".join(
        [
            *lines,
            "",
            f"Clear after correction for all {len(table.tests)} tests: {said}.",
            "",
            *(markdown_table(text) for text in texts[1:]),
            f"{table.limit} examples of every file, {minutes:.0f} minutes of processor time. "
            f"{made_by(found)}",
        ]
    )


def clear_changes(table: AbilityTable) -> list[tuple[str, str, str]]:
    """Return state, task and measure of the differences that are clear for all tests together."""
    return [
        key
        for key, (test, _, corrected) in corrected_tests(table).items()
        if verdict(test.difference, corrected, table.bootstrap)
    ]


def step_speed(speed: dict[str, Any]) -> str:
    """Return what compiling the blocks saves as a Markdown table."""
    ways = {
        name: row for name, row in speed.items() if isinstance(row, dict) and "step_seconds" in row
    }
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
    return "\n".join(lines)


def cllm4rec(result: dict[str, Any]) -> str:
    """Return CLLM4Rec, its halves and popularity on made-up worlds as a Markdown table."""
    names = {"capped_recall@20": "Recall@20", "capped_recall@40": "Recall@40"}
    metrics = [*names, "ndcg@100"]
    lines = [
        f"| | {' | '.join(names.get(metric, metric.upper()) for metric in metrics)} |",
        f"|---|{'---:|' * len(metrics)}",
    ]
    for name, row in result["metrics"].items():
        cells = [
            f"{statistics.mean(row[metric]):.3f} ± {statistics.stdev(row[metric]):.3f}"
            for metric in metrics
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


RANKED = ("ndcg@10", "recall@10", "recall@20", "hr@10", "mrr", "novelty@10")


def ranking(result: dict[str, Any]) -> str:
    """Return rankings of a catalogue as Markdown: metrics, then the tests of what was joined."""
    groups = {
        name: {row["name"]: RankingEvaluation.model_validate(row) for row in rows}
        for name, rows in result["systems"].items()
    }
    apart = [name for name in groups if name != "all"]
    heads = [metric_title(metric) for metric in RANKED]
    lines = [
        " | ".join(["| order", *heads, "Coverage@10", *(f"NDCG@10, {name}" for name in apart)])
        + " |",
        f"|---|{'---:|' * (len(RANKED) + 1 + len(apart))}",
    ]
    for name, row in groups["all"].items():
        cells = [f"{row.metrics[metric].value:.3f}" for metric in RANKED]
        cells[0] += f" {interval_text(row.metrics['ndcg@10'])}"
        cells += [f"{row.coverage['coverage@10']:.3f}"]
        cells += [f"{groups[part][name].metrics['ndcg@10'].value:.3f}" for part in apart]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| NDCG@10 | " + " | ".join(f"{name} | p, Holm" for name in groups) + " |"]
    lines.append(f"|---|{'---|---:|' * len(groups)}")
    tests = {
        name: [RankingComparison.model_validate(pair) for pair in result["comparisons"][name]]
        for name in groups
    }
    corrected = {name: ranking_p_values(pairs, "ndcg@10") for name, pairs in tests.items()}
    for number, pair in enumerate(tests["all"]):
        cells = []
        for name, pairs in tests.items():
            found = pairs[number].metrics["ndcg@10"]
            cells.append(f"{signed(found.value)} {interval_text(found)}")
            cells.append(p_value_text(corrected[name][number]))
        lines.append(f"| {pair.first} \N{MINUS SIGN} {pair.second} | {' | '.join(cells)} |")
    users = ", ".join(f"{next(iter(of.values())).users:,} {name}" for name, of in groups.items())
    return "\n".join([*lines, "", f"Users: {users}. {made_by(result)}"])


def ndcg(file: str, order: str) -> str:
    """Return the NDCG@10 of an order over all users, with its interval."""
    rows = read(f"{file}.json")["systems"]["all"]
    (row,) = [RankingEvaluation.model_validate(row) for row in rows if row["name"] == order]
    found = row.metrics["ndcg@10"]
    return f"NDCG@10 {found.value:.3f} {interval_text(found)}"


def joined_parts(result: dict[str, Any]) -> str:
    """Say what was chosen on validation, as Markdown."""
    lines = ["| order | users | chosen | candidates by | order by |", "|---|---|---|---|---|"]
    for name, groups in result["orders"].items():
        for group, order in groups.items():
            weights = [
                ", ".join(
                    f"{PARTS[part]} {value:.2f}" for part, value in order[step].items() if value
                )
                for step in ("first", "then")
            ]
            lines.append(f"| {name} | {group} | {order['chosen']} | {' | '.join(weights)} |")
    return "\n".join(lines)


def learned(result: dict[str, Any]) -> str:
    """Return what `corarec learn-ranking` found as Markdown: the NDCG of every order."""
    groups = JoinedRanking.model_validate(result).groups
    names = [f"{group}, {order.users} users" for group, order in groups.items()]
    lines = [f"| order | {' | '.join(names)} |", f"|---|{'---:|' * len(groups)}"]
    for each in next(iter(groups.values())).validation:
        values = [f"{order.validation[each]:.3f}" for order in groups.values()]
        lines.append(f"| {each} | {' | '.join(values)} |")
    chosen = [f"**{order.chosen}**" for order in groups.values()]
    lines.append(f"| chosen | {' | '.join(chosen)} |")
    return "\n".join([*lines, "", made_by(result)])


def streaming_table(found: dict[str, Any]) -> str:
    """Return what knowing likes up to the moment is worth as a Markdown table."""
    states = ("end of training", "prompt follows", "prompt and CF follow")
    lines = [f"| system | {' | '.join(states)} |", "|---|---|---|---|"]
    for name, result in {**found["cf"], "CoRA-ALS (sample)": found["run"]}.items():
        cells = []
        for state in states:
            told = result.get(state)
            if told is None:
                cells.append("-")
                continue
            cell = f"{told['auc']:.3f}/{told['uauc']:.3f}"
            if above := told.get("above"):
                gains = (above[metric] for metric in ("auc", "uauc"))
                parts = (f"{v:+.3f} [{low:.3f}, {high:.3f}]" for v, low, high in gains)
                cell += f" ({'; '.join(parts)})"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cf_table(models: dict[str, Any]) -> str:
    """Return the CF models as a Markdown table."""
    lines = [
        "| model | all | before | published | warm | cold | train AUC | valid AUC | CPU seconds |",
        "|---|---|---|---|---|---|---:|---:|---:|",
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
        before, published = (
            "/".join(f"{value:.{digits}f}" for value in model.get(key) or ()) or "-"
            for key, digits in (("reference", 3), ("published", 4))
        )
        lines.append(
            f"| {name} | {whole} | {before} | {published} | {warm} | {cold} | "
            f"{mean['train_auc']:.3f} | "
            f"{mean['valid_auc']:.3f} | {mean['cpu_seconds']:.1f} |"
        )
    return "\n".join(lines)


def suite(name: str, options: str = "") -> str:
    """Return a suite with its command and the options that it was given.

    What `corarec benchmark` wrote as `results.json` lies here as `suite-NAME.json`; what was made
    before there was that command as `study-NAME-test.json`, with fewer columns.
    """
    of_command = read(f"suite-{name}.json")
    said = command(f"corarec benchmark benchmarks/suites/{name}.yaml {options}".rstrip())
    if of_command is not None:
        result = SuiteResult.model_validate(of_command)
        return f"{said}\n\n{suite_markdown(result, heading=False)}".rstrip()
    found = read(f"study-{name}-test.json")
    return (
        f"{said}\n\n{markdown(results_of(found))}\n{found['runs']} runs, "
        f"{found['hours']:.1f} hours of training and validation in all. {made_by(found)}"
    )


STUDIES = (
    "inputs",
    "prompts",
    "weights",
    "rank",
    "queries",
    "blocks",
    "joined-cf",
    "collm-train-cf",
    "backbones",
)
"""Suites of one seed on a quarter of the users."""


def studies() -> str:
    """Return short tables for each of the studies that were run, and name the others."""
    there = {name: read(f"suite-{name}.json") is not None for name in STUDIES}
    tables = [study(name) for name, is_there in there.items() if is_there]
    left_out = ", ".join(f"`{name}`" for name, is_there in there.items() if not is_there)
    return "\n\n".join([*tables, *([f"Not run yet: {left_out}."] if left_out else [])])


def told_apart(metric: str) -> str:
    """Name the differences of all studies that are significant within their table."""
    clear = []
    for name in STUDIES:
        tests = claims_of(name)
        if tests.results is not None:
            pairs = [(one.first, one.second) for one in tests.results.comparisons]
            clear += [
                f"{first} {'above' if verdict > 0 else 'below'} {second}"
                for first, second in pairs
                if (verdict := tests.verdict(first, second, metric))
            ]
    return "; ".join(clear) or "none"


def study(name: str) -> str:
    """Return a suite's rows on all rows of its split and its tests: two tables, short enough."""
    result = SuiteResult.model_validate(read(f"suite-{name}.json"))
    systems = [study_row(system, result.rows[system.name]) for system in result.systems]
    references = [study_row(system, None) for system in result.references]
    columns = ("System", "AUC", "UAUC", "trained parameters", "CPU minutes")
    tests = Claims(results_of(result.model_dump()))
    differences: list[tuple[str, ...]] = [
        (
            f"{c.first} \N{MINUS SIGN} {c.second}",
            *tests.told(c.first, c.second, "auc"),
            *tests.told(c.first, c.second, "uauc"),
        )
        for c in result.comparisons
    ]
    told = ("Difference", "AUC", "Holm", "UAUC", "Holm")
    missing = "\n".join(f"- {sentence}" for sentence in result.missing)
    parts = [
        f"### {result.title}",
        command(f"corarec benchmark benchmarks/suites/{name}.yaml"),
        missing,
        markdown_table(TableText(columns, systems, references, "")),
        markdown_table(TableText(told, differences, [], made_by(result.model_dump()))),
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def study_row(system: Evaluation, facts: RowFacts | None) -> tuple[str, ...]:
    """Return a system's metrics and what its first run cost, where it was trained."""
    metrics = system.parts["all"].metrics
    run = facts.runs[0] if facts is not None and facts.runs and facts.kind != "beside" else None
    parameters = run.trainable_parameters if run is not None else None
    seconds = run.cpu_seconds if run is not None else None
    return (
        system.name,
        *(f"{estimate_text(metrics[m])} {interval_text(metrics[m])}" for m in ("auc", "uauc")),
        MISSING if parameters is None else f"{parameters:,}",
        MISSING if seconds is None else f"{seconds / 60:.1f}",
    )


def costs() -> str:
    """Return what training cost in each suite that was run, as far as that was recorded."""
    rows: list[tuple[str, ...]] = []
    for path in sorted(RESULTS.glob("suite-*.json")):
        result = SuiteResult.model_validate(read(path.name))
        runs = {run.folder: run for facts in result.rows.values() for run in facts.runs}
        recorded = [run.cpu_seconds for run in runs.values() if run.cpu_seconds is not None]
        if not recorded:
            continue
        without = len(runs) - len(recorded)
        rows.append(
            (
                f"`{result.suite}`",
                f"{len(runs)}" if not without else f"{len(runs)}, {without} without a record",
                f"{sum(recorded) / 3600:.1f}",
                f"{statistics.mean(recorded) / 60:.1f}",
            )
        )
    columns = ("Suite", "runs", "CPU hours", "CPU minutes a run")
    return markdown_table(TableText(columns, rows, [], "")).strip()


def tuning(result: dict[str, Any] | None) -> str:
    """Return the validation AUC of each system at each of its learning rates, the best in bold."""
    if result is None:
        return "Not run yet."
    rows = []
    for name, system in result["systems"].items():
        trials = sorted(system["trials"], key=lambda trial: trial["rate"])
        best = max(trial["auc"] for trial in trials)
        shown = [(f"{trial['auc']:.3f}", trial["auc"] == best) for trial in trials]
        aucs = [f"**{text}**" if chosen else text for text, chosen in shown]
        rows.append((name, f"{system['recipe_rate']:g}", *aucs))
    columns = ("System", "rate of the recipe", "a third of it", "the recipe's", "three times")
    return markdown_table(TableText(columns, rows, [], made_by(result)))


def results_of(suite: dict[str, Any]) -> ResultTable:
    """Return the metrics and tests of a suite's file."""
    return ResultTable.model_validate({key: suite[key] for key in ResultTable.model_fields})


def claims_of(name: str) -> "Claims":
    """Return what the tests of a suite say; nothing of one that was not run."""
    found = read(f"suite-{name}.json")
    return Claims(results_of(found)) if found is not None else Claims(None)


class Measured:
    """What a suite measured of its rows, as text."""

    def __init__(self, name: str) -> None:
        self._result = SuiteResult.model_validate(read(f"suite-{name}.json"))
        self._systems = {system.name: system for system in self._result.systems}

    def validation(self, name: str) -> float:
        """Return the mean of the AUC that chose a row's weights on validation."""
        return statistics.mean(run.validation["auc"] for run in self._result.rows[name].runs)

    def test(self, name: str, part: str = "all") -> float:
        """Return a row's AUC on a part of the test rows, the mean over its seeds."""
        found = self._systems[name].parts[part].metrics["auc"]
        assert found is not None  # the suite's parts have both labels
        return found.value

    def share(self, part: str) -> float:
        """Return which share of the test rows a part is."""
        parts = self._result.systems[0].parts
        return parts[part].rows / parts["all"].rows


class Claims:
    """What the paired tests of a suite say, corrected for their number."""

    def __init__(self, results: ResultTable | None) -> None:
        self.results = results
        comparisons = results.comparisons if results is not None else []
        self._corrected = corrected_p_values(comparisons)
        self._comparisons = comparisons
        self._numbers = {(c.first, c.second): n for n, c in enumerate(comparisons)}

    def said(self, first: str, second: str, metric: str = "auc", part: str = "all") -> str:
        """Say how a system stands to another: `significantly above ALS (AUC +0.014 ...)`."""
        if (first, second) not in self._numbers:
            return f"not yet compared with {second}"
        number = self._numbers[first, second]
        found = self._comparisons[number].parts[part].metrics[metric]
        if found is None:
            return f"not comparable with {second}: labels of one kind"
        words = {1: "significantly above", 0: "not told apart from", -1: "significantly below"}
        return (
            f"{words[self.verdict(first, second, metric, part)]} {second} ({metric.upper()} "
            f"{signed(found.value)} {interval_text(found)}, "
            f"{self.p(first, second, metric, part)})"
        )

    def told(self, first: str, second: str, metric: str, part: str = "all") -> tuple[str, str]:
        """Return a difference with its interval, and its corrected p-value."""
        number = self._numbers[first, second]
        found = self._comparisons[number].parts[part].metrics[metric]
        if found is None:
            return MISSING, MISSING
        corrected = p_value_text(self._corrected[part, metric][number])
        return f"{signed(found.value)} {interval_text(found)}", corrected

    def verdict(self, first: str, second: str, metric: str, part: str = "all") -> int:
        """Return 1, -1 or 0: whether first is clearly above or below second."""
        number = self._numbers[first, second]
        comparison = self._comparisons[number]
        difference = comparison.parts[part].metrics[metric]
        assert difference is not None  # the suite's parts have both labels
        return verdict(difference, self._corrected[part, metric][number], comparison.bootstrap)

    def p(self, first: str, second: str, metric: str, part: str = "all") -> str:
        """Return the corrected p-value as text: `p ≤ 0.048` or `p = 0.132`."""
        found = p_value_text(self._corrected[part, metric][self._numbers[first, second]])
        return f"p {found}" if found.startswith("\N{LESS-THAN OR EQUAL TO}") else f"p = {found}"

    def own(self, metric: str, wanted: int, part: str = "all") -> str:
        """Name the CF models over which CoRA has this verdict against them, each with its p."""
        names = [
            f"{name} ({self.p(*OWN[name], metric, part)})"
            for name in OWN
            if self.verdict(*OWN[name], metric, part) == wanted
        ]
        return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))

    def cold_share(self) -> str:
        """Return the share of rows whose user or item is new: `43 %`."""
        assert self.results is not None, "the suite was run"
        parts = self.results.systems[0].parts
        return f"{100 * parts['cold'].rows / parts['all'].rows:.0f} %"


if __name__ == "__main__":
    main()
