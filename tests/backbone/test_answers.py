from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from corarec.backbone.answers import find_answers
from corarec.backbone.chat import PromptFrame
from corarec.errors import ConfigError

PLAIN = PromptFrame()
PROMPT = 'Answer with "Yes" or "No". \n#Answer:'


def trained_on(texts: list[str], pieces: int = 400) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=pieces, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def added(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    before = tokenizer(PROMPT)["input_ids"]
    after = tokenizer(PROMPT + text)["input_ids"]
    assert after[: len(before)] == before
    return list(after[len(before) :])


def test_byte_level(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    answers = find_answers(tiny_tokenizer, PLAIN)
    assert answers.texts == (" Yes", " No")
    assert [answers.yes] == added(tiny_tokenizer, " Yes")
    assert [answers.no] == added(tiny_tokenizer, " No")
    assert str(answers) == f"' Yes' = {answers.yes}, ' No' = {answers.no}"


@pytest.fixture
def llama_tokenizer(shared: Path) -> PreTrainedTokenizerFast:
    """Return Llama's tokenizer, its merges rebuilt from the order of its pieces."""
    sentencepiece = pytest.importorskip("sentencepiece")
    file = shared / "tokenizers/llama_tokenizer.model"
    if not file.exists():
        pytest.skip(f"no Llama tokenizer: {file} does not exist")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    vocabulary = {processor.id_to_piece(n): n for n in range(processor.get_piece_size())}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in vocabulary
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    return LlamaTokenizer(vocab=vocabulary, merges=merges)


def test_sentencepiece_with_its_own_space(llama_tokenizer: PreTrainedTokenizerFast) -> None:
    answers = find_answers(llama_tokenizer, PLAIN)
    pieces = llama_tokenizer.convert_ids_to_tokens([answers.yes, answers.no])
    assert pieces == ["▁Yes", "▁No"]
    assert (answers.yes, answers.no) == (3869, 1939)


def test_yes_of_two_tokens_names_what_would_do() -> None:
    tokenizer = trained_on(["#Answer: yes", "#Answer: no"] * 10)
    with pytest.raises(ConfigError) as caught:
        find_answers(tokenizer, PLAIN)
    message = str(caught.value)
    assert "' Yes' becomes ['Ġ', 'Y', 'es']" in message or "' Yes' becomes" in message
    assert "Set `answers` of the backbone to one of: " in message
    assert "[' yes', ' no']" in message
    assert "['1', '0']" in message
    assert "[' Yes', ' No']" not in message
    answers = find_answers(tokenizer, PLAIN, (" yes", " no"))
    assert [answers.yes] == added(tokenizer, " yes")


def test_an_answer_that_melts_into_the_prompt() -> None:
    # ":Yes" is one piece here, so that writing "Yes" behind the prompt changes its last token.
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([":Yes", ":No"] * 50, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    with pytest.raises(ConfigError, match="'Yes' becomes part of the token before it"):
        find_answers(fast, PLAIN, ("Yes", "No"))


def test_both_answers_must_differ(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigError, match="one token of its own"):
        find_answers(tiny_tokenizer, PLAIN, (" Yes", " Yes"))


def test_no_space_in_a_new_turn() -> None:
    tokenizer = trained_on(["Yes", "No"] * 10)
    answers = find_answers(tokenizer, PromptFrame("<user>\n", "\n<assistant>\n"))
    assert answers.texts == ("Yes", "No")
    assert tokenizer.convert_ids_to_tokens([answers.yes, answers.no]) == ["Yes", "No"]
