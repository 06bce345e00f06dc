import zipfile
from pathlib import Path

import pytest

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
from corarec.data.sources.movielens import MovieLens
from corarec.errors import DataError


def read(path: Path) -> RawData:
    return MovieLens().read(InputFiles(path))


def rows(raw: RawData) -> list[tuple[object, ...]]:
    return raw.collect(raw.interactions).select("user", "item", "rating", "timestamp").rows()


def test_1m(ml1m: Path) -> None:
    raw = read(ml1m)
    assert rows(raw)[0] == ("10", "7", 5.0, 991_353_600)
    assert raw.items.row(0) == ("3", "Café: The Return (1990)", "Drama")
    assert raw.users is not None
    assert raw.users.row(1) == ("10", "M", "18", "2", "00001")
    assert raw.facts.item_noun_plural == "movies"


def test_1m_as_a_zip_reads_the_same(ml1m: Path, tmp_path: Path) -> None:
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in ml1m.iterdir():
            archive.write(file, f"ml-1m/{file.name}")
    assert rows(read(path)) == rows(read(ml1m))
    assert read(path).items.equals(read(ml1m).items)
    assert MovieLens().load(path)[1].keys() == {"ml-1m.zip"}


def test_100k(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("196\t2\t3\t881250949\n186\t1\t5\t891717742\n")
    (tmp_path / "u.genre").write_text("unknown|0\nAction|1\nDrama|2\n\n")
    (tmp_path / "u.item").write_bytes(
        "1|Plain (1995)|01-Jan-1995||http://x|0|1|1\n2|Über (1996)|||http://y|1|0|0\n".encode(
            "latin-1"
        )
    )
    (tmp_path / "u.user").write_text("186|24|M|technician|85711\n196|53|F|other|94043\n")
    raw = read(tmp_path)
    assert rows(raw) == [("196", "2", 3.0, 881250949), ("186", "1", 5.0, 891717742)]
    assert raw.items.rows() == [
        ("1", "Plain (1995)", "Action|Drama"),
        ("2", "Über (1996)", "unknown"),
    ]
    assert raw.users is not None
    assert raw.users["occupation"].to_list() == ["technician", "other"]


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,296,4.5,1147880044\n")
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n296,"Tale, A (1994)",Comedy|Crime\n', "utf-8"
    )
    raw = read(tmp_path)
    assert rows(raw) == [("1", "296", 4.5, 1147880044)]
    assert raw.items.rows() == [("296", "Tale, A (1994)", "Comedy|Crime")]


def test_another_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of ratings\.dat, u\.data and ratings\.csv"):
        read(tmp_path)


def test_ratings_without_movies(ml1m: Path) -> None:
    (ml1m / "movies.dat").unlink()
    with pytest.raises(
        DataError, match=r"has no file movies\.dat; it has ratings\.dat, users\.dat"
    ):
        read(ml1m)


@pytest.mark.parametrize("name", ["ratings.dat", "movies.dat"])
def test_an_empty_file(ml1m: Path, name: str) -> None:
    (ml1m / name).write_text("")
    with pytest.raises(DataError, match=rf"{name} is empty"):
        read(ml1m)


def test_a_rating_that_is_no_number(ml1m: Path) -> None:
    file = ml1m / "ratings.dat"
    file.write_text(file.read_text().replace("9::3::4", "9::3::four"))
    with pytest.raises(DataError, match=r"ratings\.dat, row 3: rating is 'four'"):
        read(ml1m)


def test_a_line_cut_off(ml1m: Path) -> None:
    file = ml1m / "ratings.dat"
    file.write_text(file.read_text() + "12::3::5")
    with pytest.raises(DataError, match=r"ratings\.dat, row 8: 5 fields, expected 7"):
        read(ml1m)


def test_a_movie_line_cut_off(ml1m: Path) -> None:
    (ml1m / "movies.dat").write_text("3::Good (1990)::Drama\n5::Bad\n")
    with pytest.raises(DataError, match=r"movies\.dat, row 2: 2 fields, expected 3"):
        read(ml1m)


def test_a_missing_column(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,296,4.5\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n296,T,C\n")
    with pytest.raises(DataError, match=r"ratings\.csv lacks the column timestamp; it has userId"):
        read(tmp_path)
