"""The whole training text of a run, rendered and tokenised ahead in the order of training.

Training is then one plain pass over a file, and resuming is a matter of position.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from corarec.files import atomic_directory, read_json, write_json
from corarec.pretrain.documents import Renderer, Row, Rows, is_held_out
from corarec.pretrain.recipe import PhaseConfig, PretrainingRecipe
from corarec.pretrain.sources import read_source
from corarec.types import IntArray

_TOKENS_FILE = "tokens.bin"
_CARD_FILE = "corpus.json"
_HELD_OUT_FILE = "held_out.json"
_HELD_OUT_CHARACTERS = 60_000
_BATCH = 256


@dataclass
class SourceStream:
    """Documents of one source: those to train on, and those set aside on the way."""

    renderer: Renderer
    share_held_out: float
    """Share of the documents to set aside; 0 where whole rows were set aside before."""
    documents: int = 0
    set_aside: list[str] = field(default_factory=list)

    def draw(self) -> Iterator[str]:
        """Yield the documents to train on, without end."""
        for document in self.renderer.documents():
            if is_held_out(document, self.share_held_out):
                self.set_aside.append(document)
            else:
                self.documents += 1
                yield document


class Sources:
    """All sources of a recipe, read once; held-out rows are already apart."""

    def __init__(self, recipe: PretrainingRecipe) -> None:
        self.recipe = recipe
        self._train: dict[str, Rows] = {}
        self._held_out: dict[str, Rows] = {}
        used = {name for phase in recipe.phases for name in phase.mix} | set(recipe.tokenizer.mix)
        for name in sorted(used):
            config = recipe.sources[name]
            rows = read_source(recipe, name)
            apart = [
                config.hold_out == "rows" and is_held_out(str(row), config.hold_out_share)
                for row in rows
            ]
            self._train[name] = _kept(rows, apart, keep=False)
            self._held_out[name] = _kept(rows, apart, keep=True)

    def stream(self, name: str, purpose: int) -> SourceStream:
        """Return an endless stream of one source; another `purpose` is another random order."""
        config = self.recipe.sources[name]
        by_document = config.hold_out == "documents"
        return SourceStream(
            self._renderer(name, self._train[name], purpose),
            config.hold_out_share if by_document else 0.0,
        )

    def held_out(self, name: str) -> list[str]:
        """Return held-out documents of one source, about 60,000 characters."""
        if len(self._held_out[name]):
            documents = self._renderer(name, self._held_out[name], purpose=2).documents()
            documents = itertools.islice(documents, len(self._held_out[name]))
        else:
            stream = self.stream(name, purpose=2)
            documents = _set_aside(stream)
        return _until(documents, _HELD_OUT_CHARACTERS)

    def _renderer(self, name: str, rows: Rows, purpose: int) -> Renderer:
        order = sorted(self._train).index(name)
        rng = np.random.default_rng([self.recipe.seed, purpose, order])
        templates = [(item.text, item.weight) for item in self.recipe.templates(name)]
        return Renderer(rows, templates, rng)


def _kept(rows: list[Row], apart: list[bool], keep: bool) -> Rows:
    return Rows([row for row, is_apart in zip(rows, apart, strict=True) if is_apart is keep])


def _set_aside(stream: SourceStream) -> Iterator[str]:
    for _ in stream.draw():
        yield from stream.set_aside
        stream.set_aside.clear()


def _until(documents: Iterator[str], characters: int) -> list[str]:
    kept: list[str] = []
    total = 0
    for document in documents:
        kept.append(document)
        total += len(document)
        if total >= characters:
            break
    return kept


def tokenizer_texts(sources: Sources) -> Iterator[str]:
    """Yield documents of the tokenizer's mix until its amount of text is reached."""
    config = sources.recipe.tokenizer
    whole = sum(config.mix.values())
    for name, share in sorted(config.mix.items()):
        documents = sources.stream(name, purpose=0).draw()
        yield from _until(documents, int(config.characters * share / whole))


class _TokenQueue:
    """Token ids of one source's documents, encoded in batches; each begins with the start token."""

    def __init__(self, stream: SourceStream, tokenizer: PreTrainedTokenizerFast) -> None:
        self.stream = stream
        self.tokens = 0
        self._documents = stream.draw()
        self._tokenizer = tokenizer
        self._ready: list[list[int]] = []

    def take(self) -> list[int]:
        if not self._ready:
            batch = list(itertools.islice(self._documents, _BATCH))
            self._ready = self._tokenizer(batch)["input_ids"][::-1]
        ids = self._ready.pop()
        self.tokens += len(ids)
        return ids


def write_corpus(sources: Sources, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Render, tokenise and write all phases to `folder`, which appears whole or not at all.

    `tokens.bin` holds uint16 token ids, `held_out.json` the held-out texts, `corpus.json` the
    counts: tokens and passes per source.
    """
    recipe = sources.recipe
    used = sorted({name for phase in recipe.phases for name in phase.mix})
    queues = {name: _TokenQueue(sources.stream(name, purpose=1), tokenizer) for name in used}
    with atomic_directory(folder, "corpus", keep_foreign=True) as temporary:
        with (temporary / _TOKENS_FILE).open("wb") as stream:
            for phase in recipe.phases:
                stream.write(_phase_tokens(phase, queues).tobytes())
        held_out = {name: sources.held_out(name) for name in used}
        write_json(temporary / _HELD_OUT_FILE, held_out)
        card = {
            name: {
                "tokens": queue.tokens,
                "documents": queue.stream.documents,
                "passes": queue.stream.renderer.passes,
                "rows": len(queue.stream.renderer.rows),
            }
            for name, queue in queues.items()
        }
        write_json(temporary / _CARD_FILE, card)


def _phase_tokens(phase: PhaseConfig, queues: dict[str, _TokenQueue]) -> npt.NDArray[np.uint16]:
    """Draw documents, each from the source that is furthest behind its share: [tokens + 1]."""
    given = dict.fromkeys(phase.mix, 0)
    ids: list[int] = []
    while len(ids) < phase.tokens:
        name = min(given, key=lambda source: given[source] / phase.mix[source])
        document = queues[name].take()
        given[name] += len(document)
        ids.extend(document)
    return np.array(ids[: phase.tokens], dtype=np.uint16)


@dataclass(frozen=True)
class Corpus:
    """The written corpus of a run."""

    tokens: npt.NDArray[np.uint16]
    """All token ids in training order."""
    held_out: dict[str, list[str]]
    """Source -> held-out documents."""
    card: dict[str, dict[str, int]]
    """Source -> tokens, documents, passes, rows."""

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open a corpus that `write_corpus` wrote; the tokens stay on disk."""
        return cls(
            np.memmap(folder / _TOKENS_FILE, dtype=np.uint16, mode="r"),
            read_json(folder / _HELD_OUT_FILE),
            read_json(folder / _CARD_FILE),
        )

    def token_counts(self, vocabulary: int) -> IntArray:
        """Return how often each token occurs in the training text: [vocabulary]."""
        return np.bincount(self.tokens, minlength=vocabulary)
