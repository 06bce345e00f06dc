import zipfile
from pathlib import Path

import pytest

from corarec.data.detect import default_split, detect_source, input_digest
from corarec.errors import DataError


def folder(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_text("x")
    return path


@pytest.mark.parametrize(
    ("names", "source"),
    [
        (["ratings.dat", "movies.dat", "users.dat"], "movielens"),
        (["u.data", "u.item"], "movielens"),
        (["ratings.csv", "movies.csv", "tags.csv"], "movielens"),
        (["ratings.csv"], "table"),
        (["train_ood2.pkl"], "collm"),
        (["yelp_academic_dataset_review.json"], "yelp"),
        (["x.inter", "x.item"], "recbole"),
        (["reviews_Books.json.gz", "meta_Books.json.gz"], "amazon"),
        (["plays.parquet"], "table"),
        (["Plays.TSV"], "table"),
        (["plays.csv.gz"], "table"),
    ],
)
def test_a_source_is_known_by_its_files(names: list[str], source: str, tmp_path: Path) -> None:
    assert detect_source(folder(tmp_path / "in", *names)) == source
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in names:
            archive.writestr(f"inside/{name}", "x")
    assert detect_source(tmp_path / "in.zip") == source


def test_what_nobody_reads_is_refused_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the known sources .*; it has thesis\.pdf"):
        detect_source(folder(tmp_path / "in", "thesis.pdf"))
    with pytest.raises(DataError, match="does not exist"):
        detect_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="it has nothing"):
        detect_source(folder(tmp_path / "empty"))


def test_published_splits_are_kept_and_all_else_is_cut_by_time(tmp_path: Path) -> None:
    one = folder(tmp_path / "1m", "ratings.dat", "users.dat")
    ten = folder(tmp_path / "10m", "ratings.dat", "tags.dat")
    assert default_split("movielens", one, {}) == "collm-ml1m"
    assert default_split("movielens", ten, {}) == "temporal"
    assert default_split("collm", one, {}) == "published"
    assert default_split("amazon", one, {}) == "temporal"
    row = "1,2,Heat,5,7"
    (tmp_path / "a.csv").write_text(f"user,item,title,rating,timestamp\n{row}\n")
    (tmp_path / "b.csv").write_text(f"user,item,title,rating,timestamp,part\n{row},train\n")
    assert default_split("table", tmp_path / "a.csv", {}) == "temporal"
    assert default_split("table", tmp_path / "b.csv", {}) == "temporal"
    assert default_split("table", tmp_path / "b.csv", {"split_column": "part"}) == "published"


def test_the_digest_tells_inputs_and_ways_to_read_them_apart(tmp_path: Path) -> None:
    one = folder(tmp_path / "1", "a.csv")
    two = folder(tmp_path / "2", "a.csv")
    digests = {input_digest(one), input_digest(two), input_digest(one, "temporal")}
    assert len(digests) == 3
    assert input_digest(one) in digests
    (one / "a.csv").write_text("xy")
    assert input_digest(one) not in digests
