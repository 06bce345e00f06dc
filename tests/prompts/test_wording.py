import copy

import pytest
from transformers import PreTrainedTokenizerFast

from corarec.prompts.wording import Wording, start_tokens, with_slots, word_tokens


def test_words_between_slots_are_tokenised_on_their_own(
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    wording = Wording("{user} has met {items}, {user} will meet", tiny_tokenizer)
    (start,) = start_tokens(tiny_tokenizer)
    has, will = (word_tokens(tiny_tokenizer, text) for text in (" has met ", " will meet"))
    comma = word_tokens(tiny_tokenizer, ", ")
    slots = {"user": [1001], "items": [2001, 2002]}
    assert wording.fill(slots) == [start, 1001, *has, 2001, 2002, *comma, 1001, *will]
    assert wording.place("items", slots) == 2 + len(has)
    assert wording.show({"user": "u", "items": "a b"}) == "u has met a b, u will meet"
    with pytest.raises(KeyError):
        wording.place("title", slots)


def test_a_tokenizer_without_a_start_token_gets_none(
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.bos_token = None
    assert start_tokens(tokenizer) == []
    assert word_tokens(tokenizer, "") == []


@pytest.mark.parametrize(
    "text", ["no slot", "{user} {title}", "{user} {items} {items}", "{items}", "{user} { {items}"]
)
def test_a_wording_with_other_slots_is_refused(text: str) -> None:
    check = with_slots("user", "items", once="items")
    with pytest.raises(ValueError, match="slots|brace|'{'"):
        check(text)
    assert check("{user}: {items}, {user}?") == "{user}: {items}, {user}?"
