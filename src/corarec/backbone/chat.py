"""What stands around a prompt: nothing, or the turns of the model's chat template."""

from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from corarec.errors import ConfigError

PromptStyle = Literal["plain", "chat"]

_MARK = "corarec prompt stands here"


@dataclass(frozen=True)
class PromptFrame:
    """Text before and after every prompt."""

    before: str = ""
    after: str = ""

    def wrap(self, prompt: str) -> str:
        """Return the prompt inside its frame."""
        return self.before + prompt + self.after

    @property
    def answer_after_space(self) -> bool:
        """Whether an answer begins with a space: after running text it does, in a new turn not."""
        return not self.after


def prompt_frame(tokenizer: PreTrainedTokenizerBase, style: PromptStyle) -> PromptFrame:
    """Return the frame of one user turn, up to where the assistant's answer begins.

    The start token is left out of the frame where the tokenizer adds it by itself.

    Raises
    ------
    ConfigError
        The style is `chat` and the tokenizer has no chat template.
    """
    if style == "plain":
        return PromptFrame()
    if not tokenizer.chat_template:
        raise ConfigError(
            f"The prompt style is chat, but the tokenizer of {tokenizer.name_or_path} has no chat "
            "template. Take the model's instruction-tuned version or set prompt_style: plain."
        )
    turn = [{"role": "user", "content": _MARK}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    before, _, after = str(text).partition(_MARK)
    start = tokenizer.bos_token
    if start and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id:
        before = before.removeprefix(start)
    return PromptFrame(before, after)
