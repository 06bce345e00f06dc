"""The figures of a page as files in a folder beside it: SVG and PNG, with the data as CSV."""

import re
from collections.abc import Sequence
from pathlib import Path

from corarec.files import atomic_directory
from corarec.report.figures import Figure

KIND = "plots of a report"
FOLDER = "report"


def write_plots(folder: Path, figures: Sequence[Figure]) -> None:
    """Write `NAME.svg`, `NAME.png` and `NAME.csv` of every figure that has a chart.

    The folder is replaced as a whole, if it is just as an earlier call wrote it.

    Raises
    ------
    ConfigError
        Something else stands there.
    """
    with atomic_directory(folder, KIND) as new:
        for figure in figures:
            if figure.chart is None:
                continue
            name = re.sub(r"[^\w@.-]+", "_", figure.name, flags=re.ASCII)
            for ending, content in figure.chart.files(figure.title, figure.legend).items():
                (new / f"{name}.{ending}").write_bytes(content)
            figure.table.write_csv(new / f"{name}.csv")
