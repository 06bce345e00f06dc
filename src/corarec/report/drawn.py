"""Every figure of a page, section by section."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from corarec.evaluate.metrics import larger_is_better
from corarec.evaluate.result import Evaluation
from corarec.report.data import ReportData, ScoreView, TrainingCurve
from corarec.report.figures import SHOWN, Figure, Palette, training_figures
from corarec.report.forest import Forest, difference_forest, metric_forest
from corarec.report.result_figures import cost_figure, forest_figure, part_figures
from corarec.report.score_figures import SPREADS, score_figures, user_difference_figures
from corarec.report.tables import compared_metrics, metric_names, metric_of
from corarec.report.weight_figure import weight_figure

Named = TypeVar("Named", Evaluation, ScoreView, TrainingCurve)


@dataclass(frozen=True)
class Drawn:
    """The figures of a page."""

    forests: list[Forest]
    """Of the metrics."""
    results: list[Figure]
    difference_forests: list[Forest]
    differences: list[Figure]
    training: list[Figure]
    scores: list[Figure]
    weights: list[Figure]

    @property
    def figures(self) -> list[Figure]:
        """All of them, the forests as charts too."""
        return [
            *map(forest_figure, self.forests),
            *self.results,
            *map(forest_figure, self.difference_forests),
            *self.differences,
            *self.training,
            *self.scores,
            *self.weights,
        ]


def draw(data: ReportData, palette: Palette) -> Drawn:
    """Lay out every figure that there are data for; many systems stand there best first."""
    results = data.results
    metrics = metric_names([*results.systems, *results.references])
    place = _places(data)

    def ordered(several: Iterable[Named]) -> list[Named]:
        return sorted(several, key=lambda one: place.get(one.name, len(place)))

    forests = [
        metric_forest(metric, results.systems, results.references, palette) for metric in metrics
    ]
    differences = [
        difference_forest(metric, results.comparisons)
        for metric in compared_metrics(results.comparisons)
    ]
    systems = ordered(results.systems)
    by_part = [figure for metric in metrics for figure in part_figures(metric, systems)]
    if data.costs is not None and metrics:
        by_part.append(cost_figure(metrics[0], data.costs, palette))
    return Drawn(
        forests=[forest for forest in forests if forest],
        results=by_part,
        difference_forests=[forest for forest in differences if forest],
        differences=user_difference_figures(data.user_differences),
        training=training_figures(ordered(data.training), palette),
        scores=score_figures(ordered(data.scores), palette),
        weights=[] if data.weights is None else [weight_figure(data.weights)],
    )


def _places(data: ReportData) -> dict[str, int]:
    """Return the place of each system: of the table, or, where few of many are drawn, the best."""
    systems = list(data.results.systems)
    metric = next(iter(metric_names(systems)), None)
    if metric is not None and len(systems) > min(SHOWN, SPREADS):
        sign = -1 if larger_is_better(metric) else 1
        found = {one.name: metric_of(one, "all", metric) for one in systems}
        values = {name: sign * each.value for name, each in found.items() if each is not None}
        systems.sort(key=lambda one: values.get(one.name, math.inf))
    return {one.name: place for place, one in enumerate(systems)}
