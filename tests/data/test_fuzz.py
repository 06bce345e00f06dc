"""Whatever bytes come in, a reader ends in a dataset or in a `CorarecError`, and leaves no litter.

A few examples, always the same, run with the other tests. For a search of your own:

    CORAREC_FUZZ=10000 pytest tests/data/test_fuzz.py --timeout 0 [-k table]
"""

import io
import json
import os
import pickle
import resource
import struct
import tempfile
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.data.pickled_frame import read_pickled_frame
from corarec.errors import CorarecError, DataError
from corarec.text import is_steering

CASES = int(os.environ.get("CORAREC_FUZZ", "0"))
LARGEST_GROWTH = 2 * 2**20
"""KiB that the process may grow by during a target"""
searching = settings(
    max_examples=CASES or 25,
    derandomize=not CASES,
    database=None,
    deadline=timedelta(seconds=30),
    suppress_health_check=list(HealthCheck),
)

Files = dict[str, bytes]
ROWS = [(f"u{n % 4}", f"i{n % 5}", 1 + n * 7 % 5, 1_000_000_000 + n * 86_400) for n in range(40)]


def lines(rows: list[Any], separator: str = ",", header: str = "") -> bytes:
    table = [separator.join(map(str, row)) for row in rows]
    return "\n".join([*([header] if header else []), *table, ""]).encode()


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(columns: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    pl.DataFrame(columns).write_parquet(stream)
    return stream.getvalue()


TITLED = [(*row, f"Title {row[1]} (1990)") for row in ROWS]
NAMES = ["user", "item", "rating", "timestamp", "title"]
COLUMNS = {name: [row[n] for row in TITLED] for n, name in enumerate(NAMES)}
ITEMS = [(f"i{n}", f"Title {n}", "War|Drama") for n in range(5)]
NUMBERED = [(row[0][1:], row[1][1:], *row[2:]) for row in ROWS]


def collm() -> Files:
    pandas = pytest.importorskip("pandas")
    columns: dict[str, Any] = {"uid": [1, 1, 2, 2], "iid": [1, 2, 1, 3], "label": [0, 1, 1, 0]}
    columns |= {"timestamp": [1, 2, 3, 4], "title": ["A", "B", "A", "C"]}
    frame = pandas.DataFrame(columns)
    objects = frame.astype({"title": object})
    objects.columns = pandas.Index(list(columns), dtype=object)
    return {
        "train_ood2.pkl": pickle.dumps(frame, protocol=5),
        "valid_ood2.pkl": pickle.dumps(objects, protocol=4),
        "test_ood2.pkl": pickle.dumps(objects, protocol=2),
    }


def zipped() -> Files:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "ml/ratings.csv", lines(NUMBERED, header="userId,movieId,rating,timestamp")
        )
        archive.writestr("ml/movies.csv", lines(ITEMS, header="movieId,title,genres"))
    return {"in.zip": stream.getvalue()}


Target = tuple[str, dict[str, Any], Callable[[], Files]]
TARGETS: dict[str, Target] = {
    "movielens-dat": (
        "movielens",
        {},
        lambda: {
            "ratings.dat": lines(NUMBERED, "::"),
            "movies.dat": lines([(i[0][1:], *i[1:]) for i in ITEMS], "::"),
            "users.dat": lines([(n, "F", 25, 1, "123") for n in range(4)], "::"),
        },
    ),
    "movielens-100k": (
        "movielens",
        {},
        lambda: {
            "u.data": lines(NUMBERED, "\t"),
            "u.item": lines([(n, f"T{n}", "", "", "", 0, 1) for n in range(5)], "|"),
            "u.genre": b"War|0\nDrama|1\n",
            "u.user": lines([(n, 25, "F", "x", "123") for n in range(4)], "|"),
        },
    ),
    "movielens-csv": (
        "movielens",
        {},
        lambda: {
            "ratings.csv": lines(NUMBERED, header="userId,movieId,rating,timestamp"),
            "movies.csv": lines(
                [(i[0][1:], f'"{i[1]}, The"', i[2]) for i in ITEMS], header="movieId,title,genres"
            ),
        },
    ),
    "movielens-zip": ("movielens", {}, zipped),
    "amazon-2018": (
        "amazon",
        {},
        lambda: {
            "r.json": json_lines(
                [
                    {
                        "reviewerID": u,
                        "asin": i,
                        "overall": r,
                        "unixReviewTime": t,
                        "reviewText": "x",
                    }
                    for u, i, r, t in ROWS
                ]
            ),
            "meta.json": json_lines([{"asin": i, "title": t, "brand": g} for i, t, g in ITEMS]),
        },
    ),
    "amazon-2023": (
        "amazon",
        {},
        lambda: {
            "r.jsonl": json_lines(
                [
                    {
                        "user_id": u,
                        "parent_asin": i,
                        "rating": r,
                        "timestamp": t * 1000,
                        "text": "x",
                    }
                    for u, i, r, t in ROWS
                ]
            ),
            "meta.jsonl": json_lines([{"parent_asin": i, "title": t} for i, t, _ in ITEMS]),
        },
    ),
    "yelp": (
        "yelp",
        {},
        lambda: {
            "yelp_academic_dataset_review.json": json_lines(
                [
                    {"user_id": u, "business_id": i, "stars": r, "date": f"2018-07-{1 + n % 30:02}"}
                    | {"text": "good"}
                    for n, (u, i, r, _) in enumerate(ROWS)
                ]
            ),
            "yelp_academic_dataset_business.json": json_lines(
                [{"business_id": i, "name": t, "city": g} for i, t, g in ITEMS]
            ),
        },
    ),
    "recbole": (
        "recbole",
        {},
        lambda: {
            "x.inter": lines(
                ROWS, "\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float"
            ),
            "x.item": lines(ITEMS, "\t", "item_id:token\ttitle:token_seq\tclass:token_seq"),
            "x.user": lines([(f"u{n}", 3) for n in range(4)], "\t", "user_id:token\tage:token"),
        },
    ),
    "table-csv": ("table", {}, lambda: {"in.csv": lines(TITLED, header=",".join(NAMES))}),
    "table-tsv": ("table", {}, lambda: {"in.tsv": lines(TITLED, "\t", "\t".join(NAMES))}),
    "table-dates": (
        "table",
        {"interactions": "in.csv", "items": "items.csv"},
        lambda: {
            "in.csv": lines(
                [(u, i, f"2020-01-{1 + n % 30:02}") for n, (u, i, _, _) in enumerate(ROWS)],
                header="user,item,timestamp",
            ),
            "items.csv": lines(ITEMS, header="item,title,genres"),
        },
    ),
    "table-parquet": ("table", {}, lambda: {"in.parquet": parquet(COLUMNS)}),
    "collm": ("collm", {}, collm),
}
SPLITS = {"collm": "published"}
TOKENS: list[bytes] = [
    *(
        b"",
        b"\0",
        b"\n",
        b"\r",
        b'"',
        b'""',
        b",",
        b"\t",
        b"::",
        b"|",
        b";",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b"-1", b"0", b"1e400", b"nan", b"inf", b"-inf", b"1,5", b"9" * 25, b"1e18", b"1e15", b"1.0"),
    *(
        b"-62135596801",
        b"253402300800",
        b"9223372036854775808",
        b"null",
        b"true",
        b"[[1]]",
        b'{"a":1}',
    ),
    *(
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xe9",
        b"\xed\xa0\x80",
        "é日\u202e\u200b".encode(),
        b"\x1b[31m",
    ),
    *(
        b"&amp;&#39;&#8230;&#xffffffff;",
        b" a  b ",
        b"x" * 5_000,
        b"2020-13-45",
        b"0000-00-00",
        b"\\ud800",
    ),
]

place = st.floats(0, 1, exclude_max=True)
change = st.one_of(
    st.tuples(st.just("byte"), place, st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("field"), place, st.sampled_from(TOKENS)),
    st.tuples(st.just("insert"), place, st.one_of(st.sampled_from(TOKENS), st.binary(max_size=9))),
    st.tuples(st.just("delete"), place, st.binary(max_size=60)),
    st.tuples(st.just("repeat"), place, st.binary(max_size=60)),
    st.tuples(st.just("cut"), place, st.just(b"")),
    st.tuples(st.just("column"), place, st.sampled_from(TOKENS)),
    st.tuples(st.just("all"), place, st.binary(max_size=200)),
)
SEPARATORS = b',\t|:;\n{}[]"'


def changed(content: bytes, kind: str, where: float, value: bytes) -> bytes:
    """Return `content` with one change at a share `where` of its length."""
    at = int(where * len(content))
    if kind == "byte":
        return content[:at] + value + content[at + 1 :]
    if kind == "insert":
        return content[:at] + value + content[at:]
    if kind == "delete":
        return content[:at] + content[at + len(value) :]
    if kind == "repeat":
        return content[:at] + content[at : at + len(value)] * 3 + content[at:]
    if kind == "cut":
        return content[:at]
    if kind == "all":
        return value
    start, end = at, at
    while start > 0 and content[start - 1] not in SEPARATORS:
        start -= 1
    while end < len(content) and content[end] not in SEPARATORS:
        end += 1
    if kind == "column" and content[start:end]:
        return content.replace(content[start:end], value)
    return content[:start] + value + content[end:]


def check_target(name: str, files: Files) -> None:
    """Prepare `files`; the outcome is a dataset or a `CorarecError`, the folder holds no more."""
    source, options, _ = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "in"
        inputs.mkdir()
        for file, content in files.items():
            (inputs / file).write_bytes(content)
        is_alone = (source == "table" and not options) or "in.zip" in files
        path = inputs / next(iter(files)) if is_alone else inputs
        output = Path(folder) / "out"
        config = PrepareConfig(
            source=source,
            source_options=options,
            input=path,
            output=output,
            split=SPLITS.get(source, "leave-last-out"),
        )
        message, dataset = "", None
        try:
            dataset = prepare(config)
        except CorarecError as error:
            message = str(error)
        if dataset is None:
            assert not any(map(is_steering, message)), message
        else:
            assert len(Dataset.load(output)) == len(dataset)
        assert output.exists() == (dataset is not None)
        left = {path.name for path in Path(folder).iterdir()} - {"in", "out"}
        assert not left
        assert {path.name for path in inputs.iterdir()} == set(files)


@pytest.fixture(autouse=True)
def bounded_memory() -> Any:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST_GROWTH


@pytest.mark.parametrize("name", TARGETS)
def test_the_unchanged_files_are_read(name: str) -> None:
    check_target(name, TARGETS[name][2]())


@pytest.mark.parametrize("name", TARGETS)
def test_changed_files(name: str) -> None:
    valid = TARGETS[name][2]()

    @searching
    @given(st.sampled_from(sorted(valid)), st.lists(change, min_size=1, max_size=4))
    def search(file: str, changes: list[tuple[str, float, bytes]]) -> None:
        content = valid[file]
        for kind, where, value in changes:
            content = changed(content, kind, where, value)
        check_target(name, {**valid, file: content})

    search()


def test_control_characters_in_the_names_of_genres() -> None:
    check_target(
        "movielens-100k", {**TARGETS["movielens-100k"][2](), "u.genre": b"\x01\n\x01\n\x01"}
    )


def test_a_user_with_two_entries() -> None:
    users = b"user_id:token\tage:token\nu1\t3\nu1\t3\n"
    check_target("recbole", {**TARGETS["recbole"][2](), "x.user": users})


def test_half_a_character_in_a_line_that_is_read_slowly() -> None:
    files = TARGETS["amazon-2018"][2]()
    half = files["meta.json"].replace(b"War|Drama", b"\\ud800|Drama", 1) + b"{'asin': 'x'}\n"
    check_target("amazon-2018", {**files, "meta.json": half})


WORDS = [
    b"numpy",
    b"dtype",
    b"ndarray",
    b"pandas",
    b"DataFrame",
    b"i8",
    b"O8",
    b"_mgr",
    b"data",
    b"a",
]
PATHS = [
    *("numpy dtype", "numpy ndarray", "pandas DataFrame", "pandas Index", "builtins slice"),
    *("numpy._core.multiarray _reconstruct", "numpy._core.multiarray scalar", "os system"),
    *("numpy._core.numeric _frombuffer", "pandas.core.indexes.base _new_Index"),
    *("pandas._libs.internals _unpickle_block", "pandas.core.internals.managers BlockManager"),
]
instruction = st.one_of(
    st.sampled_from([bytes([code]) for code in b"(]})NtRbaesu\x81\x85\x86\x87\x88\x89\x93\x94."]),
    st.sampled_from([b"c" + path.replace(" ", "\n").encode() + b"\n" for path in PATHS]),
    st.sampled_from([b"\x8c" + bytes([len(word)]) + word for word in WORDS]),
    st.integers(0, 30).map(lambda n: b"h" + bytes([n])),
    st.integers(0, 255).map(lambda n: b"K" + bytes([n])),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: b"J" + struct.pack("<i", n)),
    st.binary(max_size=20).map(lambda data: b"C" + bytes([len(data)]) + data),
    st.integers(0, 2**32 - 1).map(lambda n: b"r" + struct.pack("<I", n)),
    st.binary(min_size=1, max_size=12),
)


@searching
@given(st.lists(instruction, max_size=60))
def test_programs_of_pickle(program: list[bytes]) -> None:
    stream = io.BytesIO(b"\x80\x04" + b"".join(program) + b".")
    with pytest.raises(DataError):
        read_pickled_frame(stream, Path("t.pkl"))


@searching
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "num_users": st.one_of(st.integers(-1, 40), st.text(max_size=3), st.none()),
            "num_items": st.one_of(st.integers(-1, 60), st.floats(allow_nan=True)),
            "interactions_per_user": st.integers(-1, 80),
            "text_strength": st.floats(),
            "collaborative_strength": st.floats(),
            "noise": st.floats(),
            "seed": st.integers(),
            "unknown": st.booleans(),
        },
    )
)
def test_options_of_the_synthetic_world(options: dict[str, Any]) -> None:
    given_options = {"num_users": 20, "num_items": 30, "interactions_per_user": 8, **options}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        config = PrepareConfig(
            source="synthetic", output=output, split="published", source_options=given_options
        )
        try:
            prepare(config)
        except CorarecError:
            assert not output.exists()
        assert {path.name for path in Path(folder).iterdir()} <= {"out"}
