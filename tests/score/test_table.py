import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.errors import ArtifactError, ConfigError, DataError, InUseError
from corarec.locks import lock_beside, locked
from corarec.runs import Run, load_run
from corarec.score import table as score_table
from corarec.score.formats import scan, write
from corarec.score.table import check_output
from corarec.types import Pairs

PAIRS = pl.DataFrame(
    {"user": ["7", "8", "stranger"], "item": ["1", "2", "3"], "n": ["007", "", "x"]}
)


@pytest.fixture(scope="module")
def run(trained_run: Path) -> Run:
    return load_run(trained_run)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("source", ["in.csv", "in.tsv", "in.parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.tsv", "out.parquet"])
def test_any_format_in_and_any_out_give_the_same_scores(
    run: Run, tmp_path: Path, monkeypatch: Any, source: str, output: str
) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 2)
    write(PAIRS.lazy(), tmp_path / source)
    assert run.score_file(tmp_path / source, tmp_path / output) == 3
    result = scan(tmp_path / output).collect()
    assert result.columns == ["user", "item", "n", "score", "probability"]
    assert result["user"].to_list() == ["7", "8", "stranger"]
    assert result["n"].to_list()[::2] == ["007", "x"]
    np.testing.assert_allclose(
        result["score"].cast(pl.Float64), run.score(PAIRS)["score"], rtol=0, atol=1e-5
    )
    assert sorted(held(tmp_path)) == sorted([source, output])
    assert not (tmp_path / f"{output}.parts").exists()


def test_ids_of_a_text_file_are_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("user,item\n007,5\n7,5\n")
    run.score_file(tmp_path / "in.csv", tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["user", "007", "7"]
    stranger, known = (float(line.split(",")[2]) for line in lines[1:])
    assert stranger != known  # 007 is nobody here


def test_a_stopped_text_file_goes_on(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 4)
    rows = "".join(f"{1 + n},5,{n}\n" for n in range(10))
    (tmp_path / "in.csv").write_text("user,item,n\n" + rows)
    done: list[int] = []

    def stop_after_six(count: int) -> None:
        done.append(count)
        if sum(done) > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.score_file(tmp_path / "in.csv", tmp_path / "out.csv", progress=stop_after_six)
    parts = tmp_path / "out.csv.parts"
    names = sorted(path.name for path in parts.iterdir())
    assert names == ["000000000000.parquet", "pairs.parquet", "source.json"]
    before = (parts / names[0]).stat().st_mtime_ns
    kept: list[int] = []
    known_pairs = score_table.known_pairs

    def counted(*arguments: Any, **options: Any) -> Pairs:
        kept.append((parts / names[0]).stat().st_mtime_ns)
        return known_pairs(*arguments, **options)

    monkeypatch.setattr(score_table, "known_pairs", counted)
    assert run.score_file(tmp_path / "in.csv", tmp_path / "out.csv") == 10
    assert kept == [before] * 2
    assert [int(v) for v in scan(tmp_path / "out.csv").collect()["n"]] == [*range(10)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_an_empty_table_gives_an_empty_table(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("user,item\n")
    assert run.score_file(tmp_path / "in.csv", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == "user,item,score,probability\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user,item\n7,1\n7,none\n", r"in\.csv: row 3 names the item 'none'"),
        ("user,item\n7,1\n,1\n", r"in\.csv: row 3 has no user"),
        ("user,item\n7,\n", r"in\.csv: row 2 has no item"),
        ("user;item\n7;1\n", r"in\.csv: there is no column 'item', only \['user;item'\]"),
        ("user,item,score\n7,1,0.5\n", "a column 'score' already"),
        ("user,item\n7,1,2,3\n", r"in\.csv cannot be read as CSV"),
    ],
)
def test_a_mistake_anywhere_is_found_before_any_scoring_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: Any, content: str, message: str
) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 1)
    monkeypatch.setattr(score_table, "known_pairs", lambda *_, **__: pytest.fail("scored"))
    (tmp_path / "in.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        run.score_file(tmp_path / "in.csv", tmp_path / "deep" / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_column_that_holds_no_ids_is_refused_and_not_scored_as_strangers(
    run: Run, tmp_path: Path
) -> None:
    texts = pl.DataFrame({"user": ["7", "9"], "item": ["1", "2"]})
    of_ids = run.score(texts)["score"].to_list()
    for kind in (pl.Int16, pl.UInt64, pl.Categorical, pl.Binary, pl.Decimal(9, 0)):
        same = texts.with_columns(pl.col("user").cast(kind))
        assert run.score(same)["score"].to_list() == of_ids
    day = pl.lit("2020-01-01").str.to_date()
    for name, values in (
        ("Float64", pl.lit(1.0)),
        ("Date", day),
        ("Datetime", day.cast(pl.Datetime)),
        ("Boolean", pl.lit(True)),
        ("Decimal", pl.lit(1).cast(pl.Decimal(9, 2))),
        ("List", pl.concat_list("user")),
        ("Struct", pl.struct("user")),
    ):
        odd = texts.with_columns(user=values)
        odd.write_parquet(tmp_path / "in.parquet")
        with pytest.raises(DataError, match=rf"column 'user' holds {name}.*are no ids"):
            run.score(odd)
        with pytest.raises(DataError, match=rf"column 'user' holds {name}.*are no ids"):
            run.score_file(tmp_path / "in.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("output", ["in.csv", "../IN/in.csv", "soft.csv", "hard.csv"])
def test_the_pairs_are_never_overwritten(
    run: Run, tmp_path: Path, output: str, overwrite: bool
) -> None:
    folder = tmp_path / "IN"
    folder.mkdir()
    source = folder / "in.csv"
    source.write_text("user,item\n7,1\n")
    (folder / "soft.csv").symlink_to(source)
    (folder / "hard.csv").hardlink_to(source)
    before = held(folder)
    with pytest.raises(ConfigError, match="would overwrite the input"):
        run.score_file(source, folder / output, overwrite=overwrite)
    assert held(folder) == before


def test_a_table_of_the_dataset_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("user,item\n7,1\n")
    for table in sorted(run.config.data.glob("*.parquet")):
        with pytest.raises(ConfigError, match="would overwrite the input"):
            run.score_file(tmp_path / "in.csv", table, overwrite=True)


def test_a_file_is_replaced_only_when_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("user,item\n7,1\n")
    output.write_text("my thesis")
    with pytest.raises(ConfigError, match=r"already exists\. Choose .*--overwrite"):
        run.score_file(source, output)
    assert output.read_text() == "my thesis"
    run.score_file(source, output, overwrite=True)
    assert output.read_text().startswith("user,item,score")


def test_a_folder_or_an_unknown_suffix_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(ConfigError, match="is no plain file"):
        check_output(tmp_path / "in.csv", tmp_path / "out.csv", overwrite=True)
    with pytest.raises(ConfigError, match="tells no format"):
        check_output(tmp_path / "in.csv", tmp_path / "out.xlsx")


def test_a_folder_of_the_user_that_is_called_parts_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("user,item\n7,1\n")
    parts = tmp_path / "out.csv.parts"
    parts.mkdir()
    (parts / "thesis.txt").write_text("mine")
    for owner in (False, True):
        if owner:
            (parts / "source.json").write_text(json.dumps({"source": "x"}))
        with pytest.raises(ArtifactError, match=r"thesis\.txt there is not from corarec"):
            run.score_file(tmp_path / "in.csv", tmp_path / "out.csv")
    assert (parts / "thesis.txt").read_text() == "mine"


def test_two_that_write_the_same_output_do_not_meet(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("user,item\n7,1\n")
    output = tmp_path / "out.csv"
    with locked(lock_beside(output), "It"), pytest.raises(InUseError, match="out.csv is in use"):
        run.score_file(tmp_path / "in.csv", output)
    assert run.score_file(tmp_path / "in.csv", output) == 1


def test_lists_do_not_go_into_text_and_nothing_is_scored(
    run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(score_table, "known_pairs", lambda *_, **__: pytest.fail("scored"))
    source = tmp_path / "in.parquet"
    PAIRS.with_columns(tags=pl.lit(["a", "b"])).write_parquet(source)
    with pytest.raises(DataError, match=r"'tags' holds List\(String\)"):
        run.score_file(source, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
