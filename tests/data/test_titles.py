from pathlib import Path

import polars as pl
import pytest

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.data.titles import mend_titles, shared_titles, tell_beside_titles
from corarec.errors import ConfigError


def mend(title: str, longest: int = 300, *, exact: bool = False) -> tuple[str, tuple[str, ...]]:
    items, notes = mend_titles(pl.DataFrame({"title": [title]}), longest, exact=exact)
    return items["title"].item(), notes


@pytest.mark.parametrize(
    ("title", "mended"),
    [
        ("Law &amp; Order", "Law & Order"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("Dieu&#8230;Créa &#x27;x&#39;", "Dieu…Créa 'x'"),
        ("&lt;b&gt;", "<b>"),
        ("  The   End \t", "The End"),
        ("one\ntwo\r\nthree\u2028four", "one two three four"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        ("\u202eabc\u202c\u2066d\u200b\ufeff\x00", "abcd"),
        ("a\u00a0b\u3000c", "a b c"),
        ("&#27;[2J&#8238;x", "[2Jx"),
    ],
)
def test_what_is_mended(title: str, mended: str) -> None:
    found, notes = mend(title)
    assert found == mended
    assert notes
    assert mend(mended) == (mended, ())


@pytest.mark.parametrize(
    "title",
    [
        "Q&A; more",
        "AT&T",
        "R&B & Soul",
        "Café 日本 🎬",
        "👨\u200d👩\u200d👧",
        "&unknown;",
        "a;b",
        "",
    ],
)
def test_what_stays(title: str) -> None:
    assert mend(title)[0] == title


def test_notes_count_each_kind_and_give_an_example() -> None:
    items = pl.DataFrame({"title": ["A &amp; B", " C ", "D  E", "F"], "x": [1, 2, 3, 4]})
    mended, notes = mend_titles(items, 300)
    assert mended.rows() == [("A & B", 1), ("C", 2), ("D E", 3), ("F", 4)]
    assert notes == (
        "1 title mended: HTML entities, such as 'A &amp; B' to 'A & B'",
        "2 titles mended: outer or repeated spaces, such as ' C ' to 'C'",
    )


def test_long_titles_are_cut() -> None:
    title, notes = mend("word " * 100, 52)
    assert title == ("word " * 10) + "w…"
    assert len(title) == 52
    assert any("cut to 52 characters" in note for note in notes)
    assert mend("x" * 300)[1] == ()


def test_published_titles_are_only_counted() -> None:
    assert mend("A &amp;  B", exact=True)[0] == "A &amp;  B"
    assert all("left as published" in note for note in mend("A &amp;  B", exact=True)[1])
    assert len(mend("x" * 2_000, exact=True)[0]) == 1_000


def test_titles_of_several_items() -> None:
    assert shared_titles(pl.DataFrame({"title": ["A", "B", "", ""]})) == ()
    assert shared_titles(pl.DataFrame({"title": ["A", "B", "A"]}))[0].startswith("2 of 3 items")


def test_letters_and_their_accents_are_one_character() -> None:
    assert mend("Ame\u0301lie") == ("Am\u00e9lie", ())
    assert mend("Ame\u0301lie", exact=True) == ("Ame\u0301lie", ())


def test_what_columns_say_stands_behind_titles() -> None:
    items = pl.DataFrame(
        {
            "item": ["1", "2", "3", "4"],
            "title": ["Heat (1995)", "Alien", "", None],
            "genres": ["Crime|Drama", None, "War", "War"],
            "year": [1995, 1979, 1950, None],
            "tags": [["big", "cats "], [], [None], None],
        }
    )
    told, (note,) = tell_beside_titles(items, ["genres", "year", "tags"])
    expected = ["Heat (1995) [Crime, Drama; 1995; big, cats]", "Alien [1979]", "", None]
    assert told["title"].to_list() == expected
    assert note.startswith("2 titles are followed by genres and year and tags, such as 'Heat")
    same, notes = tell_beside_titles(items, [])
    assert same is items
    assert notes == ()
    with pytest.raises(ConfigError, match=r"no column 'genre' of items.*Did you mean 'genres'"):
        tell_beside_titles(items, ["genre"])


def test_a_dataset_keeps_what_stands_beside_its_titles(tmp_path: Path) -> None:
    made = prepare(
        PrepareConfig(
            source="synthetic",
            output=tmp_path / "out",
            split="published",
            source_options={"num_users": 20, "num_items": 30, "interactions_per_user": 20},
            beside_titles=("genre",),
        )
    )
    assert all(title.endswith("]") for title in made.titles[1:])
    again = Dataset.load(tmp_path / "out")
    assert again.titles == made.titles
    assert any("followed by genre" in note for note in again.card.notes)
