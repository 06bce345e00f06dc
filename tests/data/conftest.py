"""Small invented inputs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from corarec.data.raw import RawData, SourceFacts

# UTC seconds of the first day of some months of the ML-1M windows.
JUNE_2001, APRIL_2002, SEPTEMBER_2002 = 991_353_600, 1_017_619_200, 1_030_838_400


@pytest.fixture(scope="module", autouse=True)
def texts_as_objects() -> Iterator[None]:
    """Let pandas pickle texts as CoLLM's files hold them, also where Arrow is installed."""
    with ExitStack() as stack:
        if find_spec("pandas"):
            import pandas

            stack.enter_context(pandas.option_context("mode.string_storage", "python"))
        yield


@pytest.fixture
def ml1m(tmp_path: Path) -> Path:
    """Three users, three films, two rows in each part, in the layout of MovieLens-1M."""
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    ratings = [
        (10, 7, 5, JUNE_2001),
        (10, 3, 2, JUNE_2001),
        (9, 3, 4, APRIL_2002),
        (9, 7, 3, APRIL_2002 + 5),
        (10, 5, 4, SEPTEMBER_2002),
        (11, 3, 1, SEPTEMBER_2002),
        (11, 3, 5, JUNE_2001 - 1),
    ]
    (folder / "ratings.dat").write_text("".join("::".join(map(str, r)) + "\n" for r in ratings))
    (folder / "movies.dat").write_bytes(
        "3::Café: The Return (1990)::Drama\n5::Stone (1991)::Comedy|War\n7::Leaf (1992)::War\n"
        "8::Never Seen (1993)::War\n".encode("latin-1")
    )
    (folder / "users.dat").write_text("9::F::25::1::12345\n10::M::18::2::00001\n11::M::1::3::9\n")
    return folder


@pytest.fixture
def make_raw() -> Callable[..., RawData]:
    """Build raw data from rows (user, item, rating, timestamp)."""

    def make(
        rows: list[tuple[str, str, float | None, int | None]],
        titles: dict[str, str] | None = None,
        **columns: pl.Series,
    ) -> RawData:
        schema = {
            "user": pl.String,
            "item": pl.String,
            "rating": pl.Float32,
            "timestamp": pl.Int64,
        }
        table = pl.DataFrame(rows, schema=schema, orient="row")
        number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row")
        named = titles or {item: f"Title of {item}" for item in table["item"].unique().sort()}
        return RawData(
            facts=SourceFacts("toy", "free"),
            interactions=table.select(number, pl.all()).with_columns(**columns).lazy(),
            items=pl.DataFrame({"item": list(named), "title": list(named.values())}),
            interactions_file=Path("toy.csv"),
            items_file=Path("items.csv"),
        )

    return make
