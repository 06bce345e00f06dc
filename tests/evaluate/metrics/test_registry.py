import pytest

from corarec.errors import ConfigError
from corarec.evaluate.metrics import (
    DEFAULT_METRICS,
    METRICS,
    RANKING_METRICS,
    chance,
    larger_is_better,
    metric_title,
    metrics_named,
    ranking_metrics,
)
from corarec.evaluate.metrics.accuracy import Accuracy


def test_metrics_are_found_by_name_each_once() -> None:
    assert list(metrics_named(DEFAULT_METRICS)) == ["auc", "uauc"]
    found = metrics_named(["ece", "accuracy@0.7", "ece"])
    assert list(found) == ["ece", "accuracy@0.7"]
    assert found["accuracy@0.7"] == Accuracy(0.7)
    assert all(key == metric.key for key, metric in METRICS.items())


def test_metrics_of_rankings_are_made_at_every_cutoff() -> None:
    found = ranking_metrics((1, 5))
    names = [f"{key}@{cutoff}" for cutoff in (1, 5) for key in list(RANKING_METRICS)[:-1]]
    assert [metric.name for metric in found] == [*names, "mrr"]
    assert not set(RANKING_METRICS) & set(METRICS)  # a title and a result have one meaning each


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acuracy", "There is no metric 'acuracy'; choose one of auc, uauc,.*accuracy"),
        ("", "There is no metric ''"),
        ("auc@3", "auc takes no number, and auc@3 gives one"),
    ],
)
def test_what_is_no_metric_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        metrics_named([name])


def test_none_at_all_is_an_error() -> None:
    with pytest.raises(ConfigError, match="No metric was chosen"):
        metrics_named([])


def test_what_tables_say_of_a_metric() -> None:
    assert metric_title("accuracy@0.7") == "Accuracy@0.7"
    assert metric_title("uauc") == "UAUC"
    assert metric_title("capped_recall@10") == "capped Recall@10"
    assert metric_title("mrr") == "MRR"
    assert metric_title("of_another_version") == "OF_ANOTHER_VERSION"
    assert not larger_is_better("ece@10")
    assert larger_is_better("of_another_version")
    assert (chance("auc"), chance("logloss")) == (0.5, None)
