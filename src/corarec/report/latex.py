"""Tables for a paper: LaTeX with booktabs, everything in them escaped."""

import re

from corarec.report.layout import MINUS, MISSING, TableText, folded
from corarec.text import printable

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # at the begin of a row it would belong to the line break before
    "]": "{]}",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    MINUS: "$-$",
    MISSING: "--",
}
_PATTERN = re.compile("|".join(map(re.escape, _ESCAPES)))


def latex(text: str) -> str:
    """Return a text as LaTeX prints it; line breaks and what steers a terminal as escapes."""
    return _PATTERN.sub(lambda found: _ESCAPES[found[0]], printable(text, len(text)))


def latex_table(text: TableText, caption: str, label: str) -> str:
    r"""Return a table as a `table` environment; it needs `\usepackage{booktabs}`.

    Intervals and p-values stand in the cell of what they belong to.
    """
    rows = [_row(text, row, reference=False) for row in text.systems]
    if rows and text.references:
        rows.append(r"\midrule")
    rows += [_row(text, row, reference=True) for row in text.references]
    heads = [cell.column for cell in folded(text.columns, text.columns)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex(caption)}}}",
            rf"\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', label)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(map(latex, heads)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par\footnotesize {latex(text.note)}",
            r"\end{table}",
            "",
        ]
    )


def _row(text: TableText, row: tuple[str, ...], *, reference: bool) -> str:
    cells = []
    for cell in folded(text.columns, row):
        below = f" {{\\scriptsize {latex(', '.join(cell.below))}}}" if cell.below else ""
        cells.append(latex(cell.value) + below)
    if reference:
        cells[0] = rf"\textit{{{cells[0]}}}"
    return " & ".join(cells) + r" \\"
