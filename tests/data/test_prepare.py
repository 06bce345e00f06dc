from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.data import DATA_SOURCES, SPLIT_RULES, Dataset, LabelConfig, PrepareConfig, prepare
from corarec.data.sources.movielens import MovieLens
from corarec.errors import ConfigError, DataError
from corarec.files import sha256
from corarec.ownership import MARKER

CSV = "user,item,rating,timestamp,title\n" + "".join(
    f"u{n % 4},i{n % 5},{1 + n * 7 % 5},{1000 + n},Title {n % 5}\n" for n in range(40)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(CSV)
    return path


def run(table: Path | None, **options: Any) -> Dataset:
    output = options.pop("output", Path("/nonexistent"))
    given = {"source": "table", "split": "temporal", "input": table, "output": output, **options}
    return prepare(PrepareConfig(**given))


def test_the_card_says_what_was_done(table: Path, tmp_path: Path) -> None:
    dataset = run(
        table,
        output=tmp_path / "out",
        labels=LabelConfig(threshold=3),
        split_options={"valid": 0.2, "test": 0.2},
        source_options={"item_noun_singular": "film", "item_noun_plural": "films"},
    )
    card = Dataset.load(tmp_path / "out").card
    assert card == dataset.card
    assert (card.name, card.source, card.split) == ("ratings", "table", "temporal")
    assert card.labels == "positive where the rating is at least 3"
    assert card.split_options == {
        "untitled": "error",
        "longest_title": 300,
        "valid": 0.2,
        "test": 0.2,
    }
    assert card.inputs == {"ratings.csv": sha256(table)}
    assert (card.num_users, card.num_items) == (4, 5)
    assert card.item_noun_plural == "films"
    assert [card.counts[part].rows for part in ("train", "valid", "test")] == [24, 8, 8]


def test_counts_and_warm_flags(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    rows = ["a,x,5,1", "a,y,1,2", "b,x,5,3", "b,z,1,4", "c,y,5,5", "a,y,1,6"]
    splits = ["train", "train", "valid", "valid", "test", "test"]
    lines = [f"{row},{split},T" for row, split in zip(rows, splits, strict=True)]
    path.write_text("\n".join(["user,item,rating,timestamp,split,title", *lines]))
    dataset = run(path, split="published", output=tmp_path / "out")
    assert dataset.interactions["user_id"].to_list() == [1, 1, 1, 2, 2, 3]
    assert dataset.interactions["warm"].to_list() == [True, True, True, False, False, False]
    counts = dataset.card.counts
    assert (counts["train"].rows, counts["train"].warm, counts["train"].positives) == (2, 2, 1)
    assert (counts["test"].users, counts["test"].items, counts["test"].warm) == (2, 1, 1)


def test_positives_only_gets_negatives_that_the_card_names(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    rows = [f"u{n % 4},i{n % 9},{n},T" for n in range(20)]
    path.write_text("\n".join(["user,item,timestamp,title", *rows]))
    dataset = run(path, output=tmp_path / "out", labels=LabelConfig(negatives=2, seed=5))
    assert len(dataset) == 60
    assert dataset.card.labels.startswith(
        "interactions are the positives; 2 negatives per positive"
    )
    assert "seed 5" in dataset.card.labels
    # A negative and its positive see the same history.
    lengths = dataset.pairs(np.arange(len(dataset))).histories.lengths().reshape(-1, 3)
    assert (lengths == lengths[:, :1]).all()


def test_reviews_become_texts(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    ratings = [5, 1, 1, 5] * 5
    texts = ["" if n == 3 else f"text {n}" for n in range(20)]
    rows = [f"u{n % 2},i{n},{ratings[n]},{n},T,{texts[n]}" for n in range(20)]
    path.write_text("\n".join(["user,item,rating,timestamp,title,text", *rows]))
    run(path, output=tmp_path / "out", split_options={"valid": 0.2, "test": 0.2})
    dataset = Dataset.load(tmp_path / "out")
    assert dataset.texts is not None
    assert len(dataset.texts) == 19
    raw_ids = dict(zip(dataset.items["item_id"], dataset.items["raw_id"], strict=True))
    for row, item, text in dataset.texts.select("row", "item_id", "text").iter_rows():
        assert dataset.interactions["item_id"][row] == item
        assert raw_ids[item] == "i" + text.removeprefix("text ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "netflix"}, "There is no source 'netflix'; choose one of movielens, amazon"),
        ({"split": "random"}, "There is no split 'random'; choose one of collm-ml1m"),
        (
            {"source_options": {"usr_column": "u"}},
            r"'table' .*\n  usr_column: Extra inputs .* Did you mean 'user_column'",
        ),
        ({"split_options": {"valid": 2}}, r"'temporal' .*\n  valid: Input should be less than 1"),
        ({"split_options": {"valid": 0.5, "test": 0.5}}, "nothing is left to train"),
    ],
)
def test_unknown_names_and_options(table: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(table, **options)


def test_a_source_of_files_needs_an_input() -> None:
    with pytest.raises(ConfigError, match="--input PATH"):
        run(None)


def test_nothing_is_written_when_the_data_is_bad(table: Path, tmp_path: Path) -> None:
    table.write_text(CSV.replace("u1,i1,3,1001", "u1,i1,many,1001"))
    with pytest.raises(DataError, match=r"ratings\.csv, row 3: rating is 'many'"):
        run(table, output=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ratings.csv"]


def test_one_class_only(table: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"All 32 rows of the split 'train' are positive.*threshold"
    ):
        run(table, output=tmp_path / "out", labels=LabelConfig(threshold=1))


def test_an_empty_part(table: Path, tmp_path: Path) -> None:
    lines = CSV.splitlines()
    at_once = [",".join([*line.split(",")[:3], "7", "T"]) for line in lines[1:]]
    table.write_text("\n".join([lines[0], *at_once]))
    with pytest.raises(DataError, match="'temporal' leaves the split 'train' empty: the 40 usable"):
        run(table, output=tmp_path / "out")


def test_an_older_folder_is_replaced(table: Path, tmp_path: Path) -> None:
    run(table, output=tmp_path / "out")
    run(table, output=tmp_path / "out", split_options={"test": 0.3})
    assert Dataset.load(tmp_path / "out").card.counts["test"].rows == 12
    assert pl.read_parquet(tmp_path / "out/interactions.parquet").height == 40


def test_the_registries_hold_what_the_documentation_names() -> None:
    assert list(DATA_SOURCES) == [
        *("movielens", "amazon", "yelp", "recbole", "table", "collm", "synthetic", "events")
    ]
    assert list(SPLIT_RULES) == [
        *("collm-ml1m", "collm-amazon-book", "temporal", "leave-last-out", "new-items", "published")
    ]


def held_by_the_user(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("output", ["ml-1m", ".", "ml-1m/ratings.dat", "link", "thesis"])
def test_nothing_of_the_user_s_is_ever_replaced(ml1m: Path, output: str) -> None:
    work = ml1m.parent
    assert ml1m.name == "ml-1m"
    (work / "link").symlink_to(ml1m)
    (work / "thesis").mkdir()
    (work / "thesis" / "chapter.tex").write_text("mine")
    before = held_by_the_user(work)
    config = PrepareConfig(source="movielens", input=ml1m, output=work / output, split="collm-ml1m")
    with pytest.raises(ConfigError, match=r"Nothing was changed"):
        prepare(config)
    assert held_by_the_user(work) == before


def test_a_dataset_is_replaced_by_the_next_and_never_by_one_made_from_itself(ml1m: Path) -> None:
    output = ml1m.parent / "out"
    config = PrepareConfig(source="movielens", input=ml1m, output=output, split="collm-ml1m")
    prepare(config)
    first = held_by_the_user(output)
    prepare(config)
    assert held_by_the_user(output) == first
    itself = PrepareConfig(
        source="table",
        input=output,
        output=output,
        split="published",
        source_options={"interactions": "interactions.parquet"},
    )
    with pytest.raises(ConfigError, match="would overwrite the input"):
        prepare(itself)
    assert held_by_the_user(output) == first


def test_a_dataset_of_before_the_markers_is_read_but_not_replaced(ml1m: Path) -> None:
    output = ml1m.parent / "out"
    config = PrepareConfig(source="movielens", input=ml1m, output=output, split="collm-ml1m")
    prepare(config)
    (output / MARKER).unlink()
    assert len(Dataset.load(output)) == 6
    with pytest.raises(ConfigError, match="move or delete what is there yourself"):
        prepare(config)


def test_a_refused_output_costs_no_reading(ml1m: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MovieLens, "load", lambda *_: pytest.fail("the source was read"))
    config = PrepareConfig(source="movielens", input=ml1m, output=ml1m, split="collm-ml1m")
    with pytest.raises(ConfigError):
        prepare(config)


def notes(path: Path, folder: Path, **options: Any) -> str:
    card = run(path, output=folder / "out", **options).card
    assert Dataset.load(folder / "out").card.notes == card.notes
    return "\n".join(card.notes)


def test_positives_only_is_said_first_and_aloud(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    rows = [f"u{n % 4},i{n % 9},{n * 10**12},T &amp; {n % 9}" for n in range(1, 21)]
    path.write_text("\n".join(["user,item,timestamp,title", *rows]))
    said = notes(path, tmp_path, split="leave-last-out").split("\n")
    assert said[0].startswith("ASSUMED: ")
    assert any(line.startswith("ASSUMED: there are no ratings or labels, so") for line in said)


def test_titles_are_mended_and_shared_ones_named(table: Path, tmp_path: Path) -> None:
    table.write_text(CSV.replace("Title 1", "A &amp;  B").replace("Title 2", "A & B "))
    said = notes(table, tmp_path)
    assert "1 title mended: HTML entities, such as 'A &amp;  B' to 'A &  B'" in said
    assert "2 of 5 items share their title with another one, such as 'A & B'" in said
    assert "A & B" in Dataset.load(tmp_path / "out").titles


def test_repeated_interactions_are_counted(table: Path, tmp_path: Path) -> None:
    table.write_text(CSV + "u3,i4,5,1039,Title 4\n")
    assert "21 of 41 interactions repeat a user and an item, 1 of them at the same second" in (
        notes(table, tmp_path)
    )


def test_a_long_title_is_cut(table: Path, tmp_path: Path) -> None:
    table.write_text(CSV.replace("Title 1", "x" * 10_000))
    assert "cut to 300 characters (longest_title)" in notes(table, tmp_path)
    dataset = Dataset.load(tmp_path / "out")
    assert max(map(len, dataset.titles)) == 300
    notes(table, tmp_path, split_options={"longest_title": 20})
    assert max(map(len, Dataset.load(tmp_path / "out").titles)) == 20


def test_published_titles_stay(ml1m: Path, tmp_path: Path) -> None:
    title = "Et Dieu&#8230;  Créa"
    (ml1m / "movies.dat").write_text(
        f"3::{title}::Drama\n5::{'x' * 5_000}::War\n7::Leaf::War\n", "utf-8"
    )
    output = tmp_path / "out"
    config = PrepareConfig(source="movielens", input=ml1m, output=output, split="collm-ml1m")
    said = prepare(config).card.notes
    assert title in Dataset.load(output).titles
    assert max(map(len, Dataset.load(output).titles)) == 1_000
    assert any(note.startswith("1 title left as published: HTML entities") for note in said)


def test_times_that_no_calendar_has(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: the time 1,000,000,000,000 seconds.*time_unit"):
        table.write_text(CSV.replace(",10", ",10000000000"))
        run(table, output=tmp_path / "out", source_options={"time_unit": "s"})


def test_the_scale_of_ratings_is_said_where_one_class_is_left(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Here ratings run from 1 to 5\. Choose another"):
        run(table, output=tmp_path / "out", labels=LabelConfig(threshold=9))


def test_every_row_can_be_a_positive_whatever_its_rating(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    # Ten items of forty a user: there is something to draw.
    path.write_text(
        "user,item,rating,timestamp,title\n"
        + "".join(f"u{n % 4},i{n},{1 + n * 7 % 5},{1000 + n},Title {n}\n" for n in range(40))
    )
    dataset = run(
        path, output=tmp_path / "out", split="leave-last-out", labels=LabelConfig(implicit=True)
    )
    card = dataset.card
    assert card.negatives_drawn
    assert [counts.positives for counts in card.counts.values()] == [32, 4, 4]
    assert card.labels.startswith("interactions are the positives; 1 negative per positive")
    assert not any("there are no ratings" in note for note in card.notes)
    drawn = dataset.interactions.filter(pl.col("label") == 0)
    assert drawn["rating"].null_count() == len(drawn) == 40
    plain = run(path, output=tmp_path / "plain", split="leave-last-out")
    assert not plain.card.negatives_drawn
