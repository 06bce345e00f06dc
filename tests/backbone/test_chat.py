import pytest
from transformers import PreTrainedTokenizerFast

from corarec.backbone.chat import PromptFrame, prompt_frame
from corarec.errors import ConfigError

TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}[{{ turn.role }}] {{ turn.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)


def test_plain_is_nothing(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    frame = prompt_frame(tiny_tokenizer, "plain")
    assert frame.wrap("Hello") == "Hello"
    assert frame.answer_after_space


def test_a_chat_turn_without_a_second_start_token(
    tiny_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_tokenizer, "chat_template", TEMPLATE)
    frame = prompt_frame(tiny_tokenizer, "chat")
    assert frame == PromptFrame("[user] ", "\n[assistant]\n")
    assert not frame.answer_after_space
    ids = tiny_tokenizer(frame.wrap("Hello"))["input_ids"]
    assert ids.count(tiny_tokenizer.bos_token_id) == 1


def test_no_chat_template(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigError, match="has no chat template.*prompt_style: plain"):
        prompt_frame(tiny_tokenizer, "chat")
