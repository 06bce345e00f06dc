import pytest

from corarec.report.latex import latex, latex_table
from corarec.report.layout import MISSING, TableText


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a & b_c 5%", r"a \& b\_c 5\%"),
        ("{x}^2 ~ $#", r"\{x\}\textasciicircum{}2 \textasciitilde{} \$\#"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("0.7 ± 0.1 [0, 1]", r"0.7 $\pm$ 0.1 {[}0, 1{]}"),
        ("two\nlines \x1b[2J", r"two\textbackslash{}nlines \textbackslash{}x1b{[}2J"),
        ("≤ 0.002", r"$\leq$ 0.002"),
        ("MF | alone", r"MF \textbar{} alone"),
    ],
)
def test_what_means_something_to_latex_is_escaped(text: str, printed: str) -> None:
    assert latex(text) == printed


def test_a_table_has_its_intervals_in_the_cell_of_their_metric() -> None:
    columns = ("System", "AUC", "interval")
    text = TableText(
        columns, [("A & B", "0.7", "[0.6, 0.8]")], [("C_D", "0.6", MISSING)], "50 % of x"
    )
    table = latex_table(text, "A_caption", "a b")
    lines = table.splitlines()
    assert r"A \& B & 0.7 {\scriptsize {[}0.6, 0.8{]}} \\" in lines
    assert r"\textit{C\_D} & 0.6 {\scriptsize --} \\" in lines
    assert r"\caption{A\_caption}" in lines
    assert r"\label{tab:a-b}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert [line for line in lines if line.endswith("rule")] == [
        r"\toprule",
        r"\midrule",
        r"\midrule",
        r"\bottomrule",
    ]
    assert table.count("{") - table.count(r"\{") == table.count("}") - table.count(r"\}")


def test_a_table_without_rows_is_a_table() -> None:
    table = latex_table(TableText(("System", "AUC"), [], [], ""), "x", "x")
    assert r"System & AUC \\" in table
