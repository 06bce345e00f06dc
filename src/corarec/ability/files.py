"""Reads what is asked and the texts that are predicted; every mistake has its file and row."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from corarec.ability.examples import Example, FormError, Kind, form_of
from corarec.data.reading import readable
from corarec.errors import DataError
from corarec.text import printable

QUESTIONS = (".json", ".jsonl", ".txt")
TABLES = (".parquet", ".csv", ".tsv", ".jsonl")


@dataclass(frozen=True)
class Task:
    """The examples of one file, or a sample of them."""

    name: str
    path: Path
    kind: Kind
    examples: tuple[Example, ...]
    rows: int
    """How many examples the file has."""

    @property
    def chance(self) -> float | None:
        """The share that guessing among the choices gets right; None without choices."""
        if self.kind != "choice":
            return None
        return float(np.mean([1 / len(example.choices) for example in self.examples]))

    @property
    def constant(self) -> float | None:
        """The share that naming one label for all would get right, were it the best one."""
        labels = {choice for example in self.examples for choice in example.choices}
        most = max(len(example.choices) for example in self.examples)
        if self.kind != "choice" or len(labels) > most:
            return None  # the choices are texts of each question's own
        counts = Counter(example.answers[0] for example in self.examples)
        return max(counts.values()) / len(self.examples)


@dataclass(frozen=True)
class TextSet:
    """Texts to be predicted, or a sample of them."""

    name: str
    path: Path
    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    """The row of each in its file, from 1."""
    rows: int
    """How many texts the file has."""


def read_tasks(places: Sequence[Path], limit: int | None, seed: int) -> list[Task]:
    """Read files of questions, or all of a folder, and draw at most `limit` examples of each.

    A folder's `.json`, `.jsonl` and `.txt` files are read; what else lies in it is not. The sample
    depends on the seed and the file's name alone.

    Raises
    ------
    DataError
        A file is missing, empty, damaged or of no known form; names file and row.
    """
    sampled = []
    for task in map(read_task, question_files(places)):
        chosen = sample(task.name, len(task.examples), limit, seed)
        sampled.append(replace(task, examples=tuple(task.examples[number] for number in chosen)))
    return sampled


def question_files(places: Sequence[Path]) -> list[Path]:
    """Return the files that are named, and those of the folders that are."""
    files = []
    for place in places:
        with readable(place):
            if not place.is_dir():
                files.append(place)
                continue
            inside = sorted(
                path
                for path in place.iterdir()
                if path.suffix.lower() in QUESTIONS and path.is_file() and path.name[0] != "."
            )
        if not inside:
            raise DataError(
                f"{printable(place)} holds no file of questions ({', '.join(QUESTIONS)}). Name the "
                "folder that does."
            )
        files += inside
    return files


def sample(name: str, count: int, limit: int | None, seed: int) -> list[int]:
    """Return at most `limit` of the numbers below `count`, ascending."""
    if limit is None or limit >= count:
        return list(range(count))
    generator = np.random.default_rng([seed, crc32(name.encode())])
    return sorted(generator.choice(count, limit, replace=False).tolist())


def read_task(path: Path) -> Task:
    """Read one file of questions, all of it.

    `.json` holds a list of objects, `.jsonl` one a line, `.txt` a prompt a line with no answer. The
    first row tells the form, and all rows are of it.

    Raises
    ------
    DataError
        As `read_tasks`.
    """
    if path.suffix.lower() not in QUESTIONS:
        raise DataError(
            f"{printable(path)} is no file of questions: wanted is {', '.join(QUESTIONS)}. Texts "
            "to be predicted are named with --text."
        )
    text = _text(path)
    if path.suffix.lower() == ".txt":
        lines = enumerate(text.split("\n"), start=1)
        examples = [Example(row, line.strip("\r")) for row, line in lines if line.strip()]
        if not examples:
            raise _empty(path)
        return Task(path.stem, path, "prompts", tuple(examples), len(examples))
    form, examples = None, []
    for number, row in _objects(path, text):
        try:
            form = form or form_of(row)
            examples.append(form.read(number, row))
        except FormError as error:
            of = f" (as in row {examples[0].row}: {form.name})" if form and examples else ""
            raise DataError(
                f"{printable(path)}, row {number}: {printable(error, 600)}{of}. Mend the row, or "
                "take it out."
            ) from None
    if form is None:
        raise _empty(path)
    kind = form.kind
    if kind == "choice" and not all(example.choices for example in examples):
        if any(example.choices for example in examples):
            odd = next(example.row for example in examples if not example.choices)
            raise DataError(
                f"{printable(path)}, row {odd}: no choices are named ('Answer format: a/b'), but "
                "other rows have them. Put both sorts into files of their own."
            )
        kind = "exact"
    return Task(path.stem, path, kind, tuple(examples), len(examples))


def _text(path: Path) -> str:
    with readable(path):
        content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{printable(path)}, line {row}: not UTF-8 ({printable(error, 200)}). Save it as UTF-8."
        ) from error


def _objects(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield number, _object(path, number, _parsed(path, line, number))
        return
    if not text.strip():
        return
    rows = _parsed(path, text, None)
    if not isinstance(rows, list):
        raise DataError(
            f"{printable(path)} holds a {type(rows).__name__}, where a list of objects is wanted. "
            "One object a line is a .jsonl file."
        )
    for number, row in enumerate(rows, start=1):
        yield number, _object(path, number, row)


def _parsed(path: Path, text: str, line: int | None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = "" if line is None else f", row {line}"
        raise DataError(
            f"{printable(path)}{where}: no JSON ({printable(error, 200)}). The file may be cut off "
            "or of another kind; get it again."
        ) from error


def _object(path: Path, number: int, row: Any) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    raise DataError(
        f"{printable(path)}, row {number}: {row!r:.60} is no object. Wanted is one object with "
        "named fields for each question."
    )


def _empty(path: Path) -> DataError:
    return DataError(f"{printable(path)} is empty. Get the file again, or leave it out.")


def read_texts(named: Sequence[str], limit: int | None, seed: int) -> list[TextSet]:
    """Read texts to be predicted, and draw at most `limit` of each file.

    Parameters
    ----------
    named
        A file, with `:COLUMN` behind it where it is a table (`.parquet`, `.csv`, `.tsv`, `.jsonl`)
        with more columns of text than one; a `.txt` file has a text between any two blank lines.

    Raises
    ------
    DataError
        A file is missing, damaged or has no such column, or no text.
    """
    sets = []
    for each in named:
        path, column = _place_and_column(each)
        texts = _paragraphs(path) if path.suffix.lower() == ".txt" else _column(path, column)
        if not texts:
            raise DataError(f"{printable(each)} has no text. Name another file or column.")
        name = path.stem if column is None else f"{path.stem}:{column}"
        chosen = [texts[number] for number in sample(name, len(texts), limit, seed)]
        numbers, kept = zip(*chosen, strict=True)
        sets.append(TextSet(name, path, kept, numbers, len(texts)))
    return sets


def _place_and_column(named: str) -> tuple[Path, str | None]:
    whole, (place, _, column) = Path(named), named.rpartition(":")
    if whole.exists() or not place or not Path(place).is_file():
        return whole, None
    return Path(place), column


def _paragraphs(path: Path) -> list[tuple[int, str]]:
    parts = [part.strip() for part in re.split(r"\r?\n[ \t]*\r?\n", _text(path))]
    return [(number, part) for number, part in enumerate(parts, start=1) if part]


def _column(path: Path, column: str | None) -> list[tuple[int, str]]:
    suffix = path.suffix.lower()
    if suffix not in TABLES:
        raise DataError(
            f"{printable(path)} is no file of texts: wanted is {', '.join((*TABLES, '.txt'))}."
        )
    with readable(path):
        if suffix == ".parquet":
            lazy = pl.scan_parquet(path, glob=False)
        elif suffix == ".jsonl":
            lazy = pl.read_ndjson(path, infer_schema_length=None).lazy()
        else:
            separator = "\t" if suffix == ".tsv" else ","
            lazy = pl.scan_csv(path, glob=False, separator=separator, infer_schema=False)
        schema = lazy.collect_schema()
        columns = [name for name, kind in schema.items() if kind == pl.String]
        if column is None and len(columns) == 1:
            column = columns[0]
        if column not in columns:
            asked = "no column was named" if column is None else f"there is no text in {column!r}"
            raise DataError(
                f"{printable(path)}: {printable(asked)}; its columns of text are "
                f"{printable(', '.join(columns) or 'none', 300)}. Write {printable(path)}:COLUMN."
            )
        table = lazy.select(column).collect()
    values = enumerate(table[column].to_list(), start=1)
    return [(number, value) for number, value in values if value and value.strip()]
