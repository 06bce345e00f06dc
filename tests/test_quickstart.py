import io
from pathlib import Path
from typing import Any

from rich.console import Console

from corarec import quickstart
from corarec.data import LabelConfig, PrepareConfig
from corarec.quickstart import Request, plan, run_quickstart
from corarec.recipe import RunConfig
from corarec.starter import quickstart_config


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
        run_quickstart(tmp_path, Request(), Console(file=screen, width=160), Console(quiet=True))
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
    looks = "<dt>Looks at the test split</dt><dd>{}</dd>"
    assert pages[1] == pages[0].replace(looks.format(1), looks.format(2)) != pages[0]


def table(folder: Path, rows: int = 40) -> Path:
    lines = ["user,item,title,rating,timestamp"]
    lines += [f"{n % 8},{n % 50},Film {n % 50} (2001),{1 + n % 5},{n}" for n in range(rows)]
    folder.mkdir(parents=True)
    (folder / "films.csv").write_text("\n".join(lines))
    return folder / "films.csv"


def test_any_source_gets_a_split_and_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = table(tmp_path / "a"), table(tmp_path / "b")
    ways = [
        Request(input=first),
        Request(input=second),
        Request(input=first, split="leave-last-out"),
        Request(input=first, source_options={"rating_column": "rating"}),
        Request(input=first, labels=LabelConfig(threshold=2)),
        Request(source="synthetic", source_options={"num_users": 70}),
        Request(),
    ]
    planned = [plan(tmp_path / "out", way) for way in ways]
    assert all(isinstance(each, PrepareConfig) for each in planned)
    configs = [each for each in planned if isinstance(each, PrepareConfig)]
    assert [each.source for each in configs] == ["table"] * 5 + ["synthetic"] * 2
    assert [each.split for each in configs[:3]] == ["temporal", "temporal", "leave-last-out"]
    assert len({each.output for each in configs}) == len(ways)
    assert configs[0].output.name.startswith("data-films-")
    assert configs[-1].output.name == "data-synthetic"
    assert plan(tmp_path / "out", ways[0]) == planned[0]
    table(tmp_path / "c", rows=41).replace(first)
    changed = plan(tmp_path / "out", ways[0])
    assert isinstance(changed, PrepareConfig)
    assert changed.output != configs[0].output


def test_a_dataset_folder_is_taken_as_it_is(small_world_path: Path, tmp_path: Path) -> None:
    assert plan(tmp_path, Request(input=small_world_path)) == small_world_path


def test_a_table_of_ones_own_becomes_recommendations(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(quickstart, "quickstart_config", small)
    screen, notes = io.StringIO(), io.StringIO()
    request = Request(input=table(tmp_path / "in", rows=200), labels=LabelConfig(threshold=3))
    run_quickstart(tmp_path / "out", request, Console(file=screen), Console(file=notes, width=200))
    assert "Reading it as table, cut by temporal." in notes.getvalue()
    assert "Film " in screen.getvalue()
    (run,) = (tmp_path / "out").glob("run-films-*")
    assert (run / "report.html").exists()
