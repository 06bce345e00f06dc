from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from corarec.pretrain.corpus import Corpus, Sources, tokenizer_texts, write_corpus
from corarec.pretrain.recipe import load_recipe

Write = Callable[..., Path]


@pytest.fixture
def sources(write_recipe: Write, recipe_values: dict[str, Any]) -> Sources:
    return Sources(load_recipe(write_recipe(recipe_values)))


@pytest.fixture
def corpus(sources: Sources, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Corpus:
    write_corpus(sources, tiny_tokenizer, tmp_path / "corpus")
    return Corpus.open(tmp_path / "corpus")


def documents(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> list[str]:
    text = tokenizer.decode(corpus.tokens)
    return [part.strip() for part in text.split(tokenizer.bos_token)]


def test_phases_follow_each_other(corpus: Corpus, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(corpus.tokens) == 1280 + 640
    first = tiny_tokenizer.decode(corpus.tokens[:1280])
    last = tiny_tokenizer.decode(corpus.tokens[1280:])
    assert "Note" in first
    assert "Note" not in last


def test_sources_get_their_shares(corpus: Corpus) -> None:
    given = {name: card["tokens"] for name, card in corpus.card.items()}
    in_first = given["films"] - 640
    assert in_first / given["notes"] == pytest.approx(3, rel=0.15)


def test_held_out_text_is_never_trained_on(
    corpus: Corpus, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    trained = set(documents(corpus, tiny_tokenizer))
    for name, texts in corpus.held_out.items():
        assert texts, name
        assert not trained & set(texts)
    # Facts are known from other renderings; rows of the other source are unknown altogether.
    assert any("Robot Parade" in text for text in trained)
    notes = {text.split(".")[0] for text in corpus.held_out["notes"]}
    assert not notes & {text.split(".")[0] for text in trained}


def test_the_seed_decides_the_corpus(
    write_recipe: Write,
    recipe_values: dict[str, Any],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    def tokens(seed: int, name: str) -> list[int]:
        recipe = load_recipe(write_recipe(recipe_values | {"seed": seed}))
        write_corpus(Sources(recipe), tiny_tokenizer, tmp_path / name)
        return np.asarray(Corpus.open(tmp_path / name).tokens).tolist()

    assert tokens(0, "a") == tokens(0, "b") != tokens(1, "c")


def test_tokenizer_texts_have_the_amount_asked_for(sources: Sources) -> None:
    total = sum(map(len, tokenizer_texts(sources)))
    assert 20_000 <= total < 20_200


def test_counting_tokens(corpus: Corpus) -> None:
    counts = corpus.token_counts(400)
    assert counts.sum() == len(corpus.tokens)
    assert counts[int(corpus.tokens[0])] == (np.asarray(corpus.tokens) == corpus.tokens[0]).sum()
