import io
from pathlib import Path
from typing import Any

from rich.console import Console

from corarec import quickstart
from corarec.quickstart import quickstart_config, run_quickstart
from corarec.train.recipe import RunConfig


def small(data: Path) -> RunConfig:
    config = quickstart_config(data)
    train = config.train.model_copy(
        update={"steps": 2, "validate_every": 2, "batch_size": 4, "validation_rows": 20}
    )
    return config.model_copy(update={"train": train})


def test_it_goes_from_nothing_to_a_page_and_can_be_run_again(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(quickstart, "quickstart_config", small)
    monkeypatch.setattr(quickstart, "_WORLD", {"num_users": 60, "num_items": 50})
    page = tmp_path / "run-synthetic" / "report.html"
    outputs, pages = [], []
    for _ in range(2):
        screen = io.StringIO()
        run_quickstart(tmp_path, None, Console(file=screen, width=160), Console(quiet=True))
        outputs.append(screen.getvalue())
        pages.append(page.read_text("utf-8"))
    for output in outputs:
        assert all(f"{number} of 5" in output for number in range(1, 6))
        assert "cora" in output
        assert "als alone" in output
        assert output.count("%") >= 5
        assert str(page.resolve()) in output.replace("\n", "")
    # The second run trains nothing anew: the same table, the same recommendations.
    first, second = (output[output.index("3 of 5") :] for output in outputs)
    assert first == second
    looks = "<dt>Looks at the test part</dt><dd>{}</dd>"
    assert pages[1] == pages[0].replace(looks.format(1), looks.format(2)) != pages[0]
