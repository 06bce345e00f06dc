import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from corarec.errors import ConfigError
from corarec.evaluate import (
    BootstrapConfig,
    RankingTable,
    ResultTable,
    UserRankings,
    compare_rankings,
    evaluate_ranking,
)
from corarec.report.data import (
    Effect,
    ExamplePrompt,
    ExplainedPrediction,
    Fact,
    Prediction,
    Recommendation,
    RecommendationList,
    ReportData,
    ShownToken,
    TextTable,
    TrainingCurve,
    WeightNorm,
    Weights,
)
from corarec.report.drawn import draw
from corarec.report.figures import Palette
from corarec.report.layout import estimate_text, interval_text, signed
from corarec.report.page import render_report, write_report
from corarec.report.views import user_differences, view_scores
from corarec.types import ScoreTable

MakeScores = Callable[..., ScoreTable]
VOID = {"meta", "link", "br", "img", "hr"}


class TagChecker(HTMLParser):
    """Collects text and headings; fails on tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.sections: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attrs)
        if tag == "section":
            self.sections.append(values.get("id") or "")
        self.addresses += [value for name in ("src", "href") if (value := values.get(name))]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def parsed(page: str) -> TagChecker:
    checker = TagChecker()
    checker.feed(page)
    assert checker.open == []
    return checker


@pytest.fixture
def full(results: ResultTable, make_scores: MakeScores) -> ReportData:
    return ReportData(
        title="CoRA & friends",
        subtitle="On <toys>",
        facts=[Fact(label="Seeds", value="1, 2")],
        config={"train": {"learning_rate": 0.001}, "note": "</pre><script>alert(1)</script>"},
        results=results,
        training=[
            TrainingCurve(
                name="CoRA-MF", train_loss=[(1, 0.7), (2, 0.6)], valid={"auc": [(2, 0.71)]}
            )
        ],
        scores=[view_scores(make_scores(2.0, 1), "CoRA-MF")],
        user_differences=[
            user_differences([make_scores(2.0)], [make_scores(0.5)], ("CoRA-MF", "a <b>"))
        ],
        weights=Weights(
            norms=[WeightNorm(block=0, weight="q_proj", increment=0.5, frozen=2.0)], pairs=9
        ),
        prompts=[
            ExamplePrompt(
                heading="User <17>",
                tokens=[
                    ShownToken(text="<s>", special=True),
                    ShownToken(text="\u202e<i>", slot="title"),
                    ShownToken(text="", slot="soft", special=True),
                ],
            )
        ],
        predictions=[
            Prediction(user="<17>", title="Salt & <i>", label=0, probability=0.1, right=True),
            Prediction(
                user="18", title="\u05de\u05dc\u05d7", label=1, probability=0.2, right=False
            ),
        ],
        recommendations=[
            RecommendationList(
                user="User 17",
                liked=["Tom & Jerry <Live> (1999)"],
                items=[
                    Recommendation(title='"Salt" & <Sand> (1972)', probability=0.914),
                    Recommendation(title="Orchard (2000)", probability=0.5),
                ],
            )
        ],
        explained=[
            ExplainedPrediction(
                heading="User <17>, enjoyed",
                title="Pepper & <Sand> (1973)",
                probability=0.25,
                right=False,
                effects=[Effect(left_out='liked title "<Sand>"', effect=-1.25, probability=0.5)],
            )
        ],
    )


def test_the_page_has_every_section_and_number(full: ReportData) -> None:
    page = parsed(render_report(full))
    assert page.sections == [
        "results",
        "differences",
        "recommendations",
        "explained",
        "predictions",
        "prompts",
        "weights",
        "training",
        "scores",
        "run",
        "reading",
    ]
    for evaluation in [*full.results.systems, *full.results.references]:
        assert evaluation.name in page.text
        for part in evaluation.parts.values():
            for estimate in (part.metrics["auc"], part.metrics["uauc"]):
                assert estimate_text(estimate) in page.text
                assert interval_text(estimate) in page.text
    difference = full.results.comparisons[0].parts["cold"].metrics["uauc"]
    assert difference is not None
    assert signed(difference.value) in page.text
    assert interval_text(difference) in page.text
    assert "300 rows" in page.text
    assert "91.4%" in page.text
    assert "-1.25" in page.text
    assert "learning_rate: 0.001" in page.text
    assert "CoRA-MF 0.710 at step 2" in page.text


def test_text_is_escaped(full: ReportData) -> None:
    html = render_report(full)
    assert "<script>" not in html
    assert "<Sand>" not in html
    assert "<only>" not in html
    page = parsed(html)
    assert '"Salt" & <Sand> (1972)' in page.text
    assert "Tom & Jerry <Live> (1999)" in page.text
    assert "Text <only> & more" in page.text
    assert "</pre><script>alert(1)</script>" in page.text


def test_the_page_loads_nothing_and_knows_the_dark(full: ReportData) -> None:
    html = render_report(full)
    assert parsed(html).addresses == []
    assert not re.search(r"url\(|@import|https?:", html)
    assert "prefers-color-scheme: dark" in html


def test_what_is_printed_keeps_its_marks_its_lines_and_its_margin(full: ReportData) -> None:
    text = render_report(full)
    assert re.search(r"@page \{ margin: \d+mm", text)
    printed = text.partition("@media print")[2].partition("</style>")[0]
    assert re.search(r"\.key[^{]*\{[^}]*print-color-adjust: exact", printed)
    assert re.search(r"tbody th[^{]*\{[^}]*position: static; background: none", printed)
    assert ".forest { break-inside: auto; }" in printed


def test_every_figure_has_a_caption(full: ReportData) -> None:
    html = render_report(full)
    assert html.count("<figure") == html.count("<figcaption>") == 14
    assert all(len(caption) > 20 for caption in re.findall(r"<figcaption>(.*?)</figcaption>", html))


def test_sections_without_data_are_left_out(data: ReportData) -> None:
    page = parsed(render_report(data))
    assert page.sections == ["results", "differences", "reading"]
    empty = ReportData(
        title="Nothing", results=ResultTable(dataset="Toy", split="test", systems=[])
    )
    assert parsed(render_report(empty)).sections == ["reading"]


def test_the_largest_system_is_bold_but_no_reference(data: ReportData) -> None:
    html = render_report(data)
    whole = data.results.systems[0].whole
    assert f"<strong>{estimate_text(whole.metrics['auc'])}</strong>" in html
    alone = data.results.model_copy(update={"systems": data.results.systems[:1]})
    assert "<strong>" not in render_report(ReportData(title="One", results=alone))


def test_the_page_and_its_plots_are_written(tmp_path: Path, data: ReportData) -> None:
    page = write_report(tmp_path / "new", data)
    assert page == tmp_path / "new" / "report.html"
    assert page.read_text("utf-8") == render_report(data)
    assert {file.name for file in page.parent.iterdir()} == {"report.html", "report"}
    names = {file.name for file in (page.parent / "report").glob("*.svg")}
    assert {"forest-auc.svg", "differences-uauc.svg", "parts-auc.svg"} <= names


def test_nothing_is_written_where_the_plots_would_replace_a_file(
    tmp_path: Path, data: ReportData
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="files that corarec did not write"):
        write_report(tmp_path, data)
    assert not (tmp_path / "report.html").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report").symlink_to(tmp_path / "report")
    with pytest.raises(ConfigError, match="is a link, and what it leads to may be yours"):
        write_report(tmp_path / "other", data)
    assert (tmp_path / "report" / "mine.txt").read_text() == "mine"


def test_what_would_turn_other_text_is_shown_and_does_nothing(full: ReportData) -> None:
    html = render_report(full)
    assert "\u202e" not in html
    assert "\\u202e&lt;i&gt;" in html
    assert "\u05de\u05dc" in html


def test_a_suite_opens_with_its_best_and_draws_the_best_first(data: ReportData) -> None:
    best, other = data.results.systems
    results = data.results.model_copy(update={"systems": [other, best]})
    curves = [TrainingCurve(name=one.name, train_loss=[(1, 0.5)]) for one in (other, best)]
    suite = data.model_copy(
        update={
            "results": results,
            "of_suite": True,
            "costs": [],
            "training": curves,
            "tables": [
                TextTable(title="Cost", columns=("System", "steps"), rows=[("A <b>", "1,000")])
            ],
        }
    )
    page = parsed(render_report(suite))
    assert page.sections[-2:] == ["tables", "reading"]
    assert "Best AUC" in page.text
    assert "CoRA-MF, interval" in page.text
    assert "No run recorded how long its training took." in page.text
    assert "A <b>" in page.text
    many = [other.model_copy(update={"name": f"row {n}"}) for n in range(9)]
    suite = suite.model_copy(
        update={"results": results.model_copy(update={"systems": [*many, best]})}
    )
    drawn = draw(suite, Palette())
    assert drawn.training[0].legend[0][1] == "CoRA-MF"
    assert drawn.results[0].table["system"][0] == "CoRA-MF"


def test_p_is_a_bound_on_the_page_too(full: ReportData) -> None:
    text = parsed(render_report(full)).text
    assert "p \N{LESS-THAN OR EQUAL TO} 0.049" in text
    assert "cannot be lower than 0.049 with so many draws" in text


def test_a_spread_is_explained_only_where_there_is_one(full: ReportData) -> None:
    assert "±" in parsed(render_report(full)).text
    single = full.results.systems[1]
    alone = full.results.model_copy(update={"systems": [single], "comparisons": []})
    assert "±" not in render_report(ReportData(title="One", results=alone))


def test_a_ranking_is_shown_with_its_tests(data: ReportData) -> None:
    config = BootstrapConfig(draws=50)
    one, other = (
        UserRankings(
            np.arange(3),
            {"ndcg@5": np.array(values)},
            users_left_out=7,
            relevant_seen=0,
            first=np.zeros((3, 1), np.int64),
            coverage={},
        )
        for values in ([0.5, 0.25, 0.75], [0.1, 0.2, 0.15])
    )
    ranking = RankingTable(
        dataset="Toy",
        split="test",
        items=9,
        candidates=4,
        systems=[evaluate_ranking(one, "CoRA", config=config)],
        references=[evaluate_ranking(other, "Popularity <b>", config=config)],
        comparisons=[compare_rankings(one, other, ("CoRA", "Popularity <b>"), config=config)],
    )
    page = parsed(render_report(data.model_copy(update={"ranking": ranking})))
    assert page.sections == ["results", "differences", "ranking", "reading"]
    for text in (
        "NDCG@5",
        "0.500",
        "Popularity <b>",
        "0.150",
        "+0.350",
        "7 users like nothing new",
    ):
        assert text in page.text
    assert "ranking" not in parsed(render_report(data)).sections


def test_every_cell_says_what_it_is_where_the_head_of_a_table_is_hidden(full: ReportData) -> None:
    html = render_report(full)
    labels = re.findall(r'<td data-label="([^"]*)"', html)
    assert html.count("<td") == len(labels)
    parts = [f"{part} {metric}" for part in ("all", "warm", "cold") for metric in ("AUC", "UAUC")]
    listed = ["User", "Enjoyed", "Probability"]
    assert labels == [*parts * 3, "Effect", "Without it", *listed * 2]
    assert "content: attr(data-label)" in html
