from pathlib import Path

import polars as pl
import pytest

from corarec.data.reading import readable
from corarec.errors import DataError


@pytest.mark.parametrize(
    "error",
    [
        pl.exceptions.PanicException("assertion `left == right` failed"),  # no Exception in Python
        pl.exceptions.ComputeError("assertion `left == right` failed"),
    ],
)
def test_damage_that_a_library_stumbles_over_names_the_file(error: BaseException) -> None:
    with (
        pytest.raises(DataError, match=r"t\.parquet is not a table that can be read \(assertion"),
        readable(Path("t.parquet")),
    ):
        raise error
