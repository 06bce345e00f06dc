"""Rows of a source turned into documents by sandboxed Jinja templates, with a seeded generator."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import polars as pl
from jinja2.sandbox import SandboxedEnvironment

from corarec.backbone.recipe import PretrainingRecipe, SourceConfig
from corarec.errors import ConfigError, DataError
from corarec.types import IntArray

Row = dict[str, Any]

_ARTICLES = "The|A|An|La|Le|Les|Il|El|Los|Las|Das|Der|Un|Une"
_LEADING_ARTICLE = re.compile(rf"^({_ARTICLES}) (\S.*)$")
_HELD_OUT_KEY = "corarec held-out"


def article_last(title: str) -> str:
    """Move a leading article to the end, as MovieLens does: `Shawshank Redemption, The`."""
    found = _LEADING_ARTICLE.match(title)
    return f"{found[2]}, {found[1]}" if found else title


def clip(text: str, characters: int) -> str:
    """Cut a text at the last sentence (or else word) that ends within `characters`."""
    if len(text) <= characters:
        return text
    head = text[:characters]
    sentence = max(head.rfind(stop) for stop in (". ", "! ", "? ", ".\n"))
    return head[: sentence + 1] if sentence > characters // 3 else head.rpartition(" ")[0]


def is_held_out(text: str, share: float) -> bool:
    """Tell by a hash whether a row or a document is set aside for measuring."""
    digest = hashlib.sha256(f"{_HELD_OUT_KEY} {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


class Rows:
    """The rows of one source, with an index over each column that is asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self._indices: dict[str, dict[Any, list[int]]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def having(self, **wanted: Any) -> list[Row]:
        """Return the rows whose columns equal, or as lists contain, the wanted values."""
        found: set[int] | None = None
        for column, value in wanted.items():
            matches = set(self._index(column).get(value, ()))
            found = matches if found is None else found & matches
        return [self.rows[position] for position in sorted(found or ())]

    def _index(self, column: str) -> dict[Any, list[int]]:
        if column not in self._indices:
            index: dict[Any, list[int]] = {}
            for position, row in enumerate(self.rows):
                value = row[column]
                for key in value if isinstance(value, list) else [value]:
                    index.setdefault(key, []).append(position)
            self._indices[column] = index
        return self._indices[column]


class Randomness:
    """What a template may do at random: filters and functions over one generator."""

    def __init__(self, rng: np.random.Generator, rows: Rows) -> None:
        self.rng = rng
        self.rows = rows

    def sample(self, values: Sequence[Any], count: int) -> list[Any]:
        """Return up to `count` different values in random order."""
        order = self.rng.permutation(len(values))[:count]
        return [values[position] for position in order]

    def shuffle(self, values: Sequence[Any]) -> list[Any]:
        """Return all values in random order."""
        return self.sample(values, len(values))

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of the values."""
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        """Return true with this probability."""
        return bool(self.rng.random() < probability)

    def random_row(self) -> Row:
        """Return any row of the source."""
        row: Row = self.choice(self.rows.rows)
        return row


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["article_last"] = article_last
    environment.filters["clip"] = clip
    return environment


class Renderer:
    """Draws documents from one source: rows in a new random order in each pass.

    Parameters
    ----------
    rows
        The rows to draw from.
    templates
        Texts of the templates and how often each is drawn.
    rng
        Decides the order, the template and every random choice inside it.
    """

    def __init__(
        self, rows: Rows, templates: Sequence[tuple[str, float]], rng: np.random.Generator
    ) -> None:
        chance = Randomness(rng, rows)
        environment = _environment()
        environment.filters |= {
            "sample": chance.sample,
            "shuffle": chance.shuffle,
            "choice": chance.choice,
        }
        environment.globals |= {
            "chance": chance.chance,
            "random_row": chance.random_row,
            "rows_having": rows.having,
        }
        weights = np.array([weight for _, weight in templates])
        self.rows = rows
        self.passes = 0
        self._templates = [environment.from_string(text) for text, _ in templates]
        self._shares = weights / weights.sum()
        self._rng = rng

    def documents(self) -> Iterator[str]:
        """Yield documents without end."""
        while True:
            order: IntArray = self._rng.permutation(len(self.rows))
            drawn = self._rng.choice(len(self._templates), size=len(order), p=self._shares)
            empty = True
            for position, template in zip(order, drawn, strict=True):
                document = self._templates[template].render(self.rows.rows[position]).strip()
                if document:
                    empty = False
                    yield document
            self.passes += 1
            if empty and len(self._templates) == 1:
                raise DataError("a template left every row of its source empty; check its columns")


def read_source(recipe: PretrainingRecipe, name: str, data_directory: Path) -> list[Row]:
    """Read the rows of a source with its derived and joined columns.

    Raises
    ------
    DataError
        The file is missing or not readable.
    ConfigError
        A column or a template in the recipe does not fit the file.
    """
    source = recipe.sources[name]
    rows = [_tidy(row, source, recipe.without_columns) for row in _read(source, data_directory)]
    environment = _environment()
    for column, text in source.columns.items():
        template = environment.from_string(text)
        try:
            for row in rows:
                row[column] = template.render(row)
        except (jinja2.UndefinedError, TypeError) as error:
            raise ConfigError(f"source {name}, column {column}: {error}") from error
    for join in source.join:
        columns = [column for column in join.columns if column not in recipe.without_columns]
        others: dict[tuple[Any, ...], Row] = {}
        for other in read_source(recipe, join.source, data_directory):
            others.setdefault(tuple(other[column] for column in join.by), other)
        for row in rows:
            match = others.get(tuple(row[column] for column in join.by), {})
            row |= {column: match.get(column) for column in columns}
    return rows


def _read(source: SourceConfig, data_directory: Path) -> list[Row]:
    path = data_directory / source.path
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path).to_dicts()
        texts = re.split(r"\n\s*\n", path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; set data_directory in the recipe to the folder that holds it"
        ) from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); wanted Parquet or UTF-8 text") from error
    return [{"text": text.strip()} for text in texts if text.strip()]


def _tidy(row: Row, source: SourceConfig, without: Sequence[str]) -> Row:
    tidy: Row = {}
    for column, value in row.items():
        if column in without:
            continue
        if value in source.null_values:
            value = None
        if column in source.lists:
            value = value.split(source.lists[column]) if value else []
        tidy[column] = value
    return tidy
