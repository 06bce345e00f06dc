import pytest
from transformers import PreTrainedTokenizerFast

from corarec.errors import TrainingError
from corarec.pretrain.tokenizer import train_tokenizer

TEXTS = ['"Robot Parade (1994)" is fine. Answer with "Yes" or "No". \n#Answer: Yes'] * 50


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, pieces=800, single=[" Yes", " No"], positions=64)


def pieces(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [tokenizer.decode([token]) for token in ids]


def test_size_and_special_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer) <= 800
    assert tokenizer("Robot")["input_ids"][0] == tokenizer.bos_token_id
    assert tokenizer.pad_token_id not in (None, tokenizer.bos_token_id)
    assert tokenizer.padding_side == "left"
    assert tokenizer.model_max_length == 64


@pytest.mark.parametrize("year", ["1900", "1994", "2000", "2029"])
def test_a_year_is_one_token_wherever_it_stands(
    tokenizer: PreTrainedTokenizerFast, year: str
) -> None:
    assert pieces(tokenizer, f"({year})") == ["(", year, ")"]
    assert pieces(tokenizer, f"a {year}, b") == ["a", " ", year, ",", " ", "b"]


def test_other_numbers_are_digits(tokenizer: PreTrainedTokenizerFast) -> None:
    assert pieces(tokenizer, "19941") == list("19941")
    assert pieces(tokenizer, "6.7") == ["6", ".", "7"]


def test_answers_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    assert pieces(tokenizer, "#Answer: Yes")[-1] == " Yes"
    assert pieces(tokenizer, "#Answer: No")[-1] == " No"


@pytest.mark.parametrize("text", ["Amélie 映画 \t x\n\n y", "it's 1994's", "  two  spaces "])
def test_nothing_is_lost(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_a_vocabulary_too_small_for_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corarec.pretrain.tokenizer._OFTEN", 100)
    with pytest.raises(TrainingError, match="in a vocabulary of 270 pieces; give the tokenizer"):
        train_tokenizer(TEXTS, pieces=270, single=[" Yes"], positions=64)
