"""What all reading shares: damage becomes a `DataError`, and nothing is unpacked without bound."""

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl

from corarec.errors import DataError
from corarec.text import printable

BLOCK = 2**20
ALWAYS_UNPACKED = 64 * 2**20
"""bytes; below this nobody asks how well a file was packed"""
BEST_RATIO = 250
"""text of interactions packs to a fifth or a tenth; a thousandth is a bomb"""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of damaged files into a `DataError` that names the file."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(
            f"{printable(path)} is cut off or damaged ({printable(error)}). Get the file again."
        ) from error
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{printable(path)} is empty. Get the file again.") from error
    except pl.exceptions.DuplicateError as error:
        raise DataError(
            f"{printable(path)} has two columns of the same name, or one called `row`, which is "
            f"used for messages ({_first_line(error)}). Rename it."
        ) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(
            f"{printable(path)} is not a table that can be read ({_first_line(error)})."
        ) from error
    except OSError as error:
        raise DataError(
            f"{printable(path)} cannot be read ({error.strerror or printable(error)}). Check that "
            "it is a file and that you may read it."
        ) from error


def collect(table: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """Collect `table`, which is read from `path`.

    Raises
    ------
    DataError
        The file is damaged, or is not such a table.
    """
    with readable(path):
        return table.collect()


def read_bounded(stream: IO[bytes], path: Path, *, packed: int, most: int | None) -> bytes:
    """Read a compressed file to its end, or stop where no honest one goes on.

    Parameters
    ----------
    stream
        gives the unpacked bytes
    path
        for the message
    packed
        the size of the compressed file, in bytes
    most
        the largest size that is wanted, in bytes; None: `BEST_RATIO` times `packed`

    Raises
    ------
    DataError
        There are more bytes than that.
    """
    bound = max(ALWAYS_UNPACKED, BEST_RATIO * packed) if most is None else most
    content = io.BytesIO()
    while block := stream.read(BLOCK):
        content.write(block)
        if content.tell() > bound:
            raise DataError(
                f"{printable(path)} unpacks to more than {bound:,} bytes from {packed:,}, and it "
                "would all be held in memory. If you trust it, unpack it yourself and give the "
                "unpacked file, or allow more gigabytes with the option most_unpacked_gb."
            )
    return content.getvalue()


def _first_line(error: BaseException) -> str:
    return printable(str(error).split("\n")[0], 300)
