from collections.abc import Callable
from pathlib import Path

import pytest

from corarec.benchmark.test_log import (
    LOG_NAME,
    count_test_evaluations,
    log_test_evaluation,
    read_test_evaluations,
)
from corarec.errors import ArtifactError
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.result import Evaluation
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def evaluation(make_table: MakeTable) -> Evaluation:
    table = make_table([1, 1, 2], [1, 0, 0], [0.9, 0.1, 0.5])
    return evaluate(table, "MF", config=BootstrapConfig(draws=10))


def test_every_look_is_appended_and_counted(tmp_path: Path, evaluation: Evaluation) -> None:
    assert count_test_evaluations(tmp_path) == 0
    assert read_test_evaluations(tmp_path) == []
    first = log_test_evaluation(tmp_path, evaluation, ["corarec", "evaluate", "my run"])
    log_test_evaluation(tmp_path, evaluation)
    entries = read_test_evaluations(tmp_path)
    assert count_test_evaluations(tmp_path) == len(entries) == 2
    assert entries[0] == first
    assert first.command == "corarec evaluate 'my run'"
    assert (first.system, first.seeds, first.rows) == ("MF", 1, 3)
    assert first.metrics == {"auc": 1.0, "uauc": 1.0}
    assert first.time.endswith("+00:00")


def test_a_line_cut_off_is_counted_named_and_not_joined(
    tmp_path: Path, evaluation: Evaluation
) -> None:
    log_test_evaluation(tmp_path, evaluation)
    log = tmp_path / LOG_NAME
    log.write_bytes(log.read_bytes() + b'{"time": "2026-')
    log_test_evaluation(tmp_path, evaluation)
    assert count_test_evaluations(tmp_path) == 3
    with pytest.raises(ArtifactError, match="line 2 is not a record of an evaluation"):
        read_test_evaluations(tmp_path)


def test_a_missing_run_folder_is_an_error(tmp_path: Path, evaluation: Evaluation) -> None:
    with pytest.raises(ArtifactError, match="is not a folder"):
        log_test_evaluation(tmp_path / "nowhere", evaluation)


def test_lines_of_an_older_version_can_be_read(tmp_path: Path) -> None:
    common = '"time": "2026-01-01T00:00:00+00:00", "command": "c", "system": "MF", "seeds": 1'
    of_rows = f'{{{common}, "rows": 3, "auc": 0.75, "uauc": null, "ranking": null}}'
    of_ranking = (
        f'{{{common}, "rows": 3, "auc": null, "uauc": null, "ranking": {{"ndcg@5": 0.25}}}}'
    )
    (tmp_path / LOG_NAME).write_text(f"{of_rows}\n{of_ranking}\n")
    looks = read_test_evaluations(tmp_path)
    assert [look.metrics for look in looks] == [{"auc": 0.75, "uauc": None}, {"ndcg@5": 0.25}]
