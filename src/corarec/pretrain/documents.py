"""Rows turned into documents by sandboxed Jinja templates, with a seeded generator."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from corarec.errors import ConfigError, DataError
from corarec.extras import needs
from corarec.types import IntArray

with needs("pretrain"):
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

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


def environment() -> SandboxedEnvironment:
    """Return what templates run in: no access to Python's own attributes, no unknown names."""
    jinja = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    jinja.filters["article_last"] = article_last
    jinja.filters["clip"] = clip
    return jinja


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
        jinja = environment()
        jinja.filters |= {
            "sample": chance.sample,
            "shuffle": chance.shuffle,
            "choice": chance.choice,
        }
        jinja.globals |= {
            "chance": chance.chance,
            "random_row": chance.random_row,
            "rows_having": rows.having,
        }
        weights = np.array([weight for _, weight in templates])
        self.rows = rows
        self.passes = 0
        self._texts = [text for text, _ in templates]
        self._templates = [jinja.from_string(text) for text in self._texts]
        self._shares = weights / weights.sum()
        self._rng = rng

    def documents(self) -> Iterator[str]:
        """Yield documents without end.

        Raises
        ------
        ConfigError
            A template asks for something that a row does not have.
        DataError
            A whole pass gave nothing.
        """
        while True:
            order: IntArray = self._rng.permutation(len(self.rows))
            drawn = self._rng.choice(len(self._templates), size=len(order), p=self._shares)
            silent = True
            for position, template in zip(order, drawn, strict=True):
                if document := self._render(template, self.rows.rows[position]):
                    silent = False
                    yield document
            self.passes += 1
            if silent:
                raise DataError(
                    f"{len(self._templates)} template(s) left every row of its source empty; "
                    "check the conditions in them against the source's columns"
                )

    def _render(self, template: int, row: Row) -> str:
        try:
            return self._templates[template].render(row).strip()
        except (jinja2.UndefinedError, TypeError) as error:
            raise ConfigError(
                f"the template {self._texts[template]!r} cannot be filled in: {error}. "
                f"The row has the columns {', '.join(row)}."
            ) from error
