"""One HTML file that shows a run: results with intervals, curves, calibration, recommendations."""

from corarec.report.data import (
    Fact,
    Recommendation,
    RecommendationList,
    ReliabilityBin,
    ReportData,
    ScoreView,
    TrainingCurve,
)
from corarec.report.page import render_report, write_report
from corarec.report.views import view_scores

__all__ = [
    "Fact",
    "Recommendation",
    "RecommendationList",
    "ReliabilityBin",
    "ReportData",
    "ScoreView",
    "TrainingCurve",
    "render_report",
    "view_scores",
    "write_report",
]
