from typing import Any

import numpy as np
import pytest

from corarec.prompts import PromptConfig, PromptEncoder, SoftSlot
from corarec.types import Histories, Pairs

TITLES = ["", "Alien (1979)", "\u5343\u3068\u5343\u5c0b <b>", "\u05de\u05dc\u05d7 & pepper"]


def pair(item: int, liked: list[int]) -> Pairs:
    return Pairs(np.ones(1, np.int64), np.array([item]), Histories.from_lists([liked]))


@pytest.mark.parametrize(("item", "liked"), [(1, [2, 3]), (2, [1]), (3, [])])
def test_the_tokens_are_the_prompt(tiny_tokenizer: Any, item: int, liked: list[int]) -> None:
    encoder = PromptEncoder(tiny_tokenizer, PromptConfig(), TITLES, max_length=1024)
    one = pair(item, liked)
    (tokens,) = encoder.tokens(one)
    assert len(tokens) == int(encoder.encode(one).attention_mask.sum())
    assert tokens[0].special
    assert tokens[0].text == tiny_tokenizer.bos_token
    assert "".join(token.text for token in tokens if not token.special) == encoder.render(one)[0]
    title = "".join(token.text for token in tokens if token.slot == "title")
    assert TITLES[item] in title
    assert any(token.slot == "history" for token in tokens)


def test_a_shortened_prompt_shows_what_is_read(tiny_tokenizer: Any) -> None:
    long = PromptEncoder(tiny_tokenizer, PromptConfig(), TITLES, max_length=1024)
    one = pair(1, [1, 2, 3])
    whole = len(long.tokens(one)[0])
    short = PromptEncoder(tiny_tokenizer, PromptConfig(), TITLES, max_length=whole - 1)
    (tokens,) = short.tokens(one)
    assert len(tokens) == int(short.encode(one).attention_mask.sum()) < whole


def test_soft_tokens_stand_in_their_place(tiny_tokenizer: Any) -> None:
    config = PromptConfig(template="{codes} rates {title}?")
    encoder = PromptEncoder(tiny_tokenizer, config, TITLES, slots={"codes": SoftSlot(2)})
    (tokens,) = encoder.tokens(pair(1, []))
    soft = [token for token in tokens if token.slot == "codes" and token.special]
    assert [token.text for token in soft] == ["", ""]
    assert "corarec" not in "".join(token.text for token in tokens)
