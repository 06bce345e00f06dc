"""Which tokens say Yes and No, found in the place where the answer will really stand."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from corarec.backbone.chat import PromptFrame
from corarec.errors import ConfigError

# What every prompt ends with; its first part only makes the context longer than one word.
_PROMPT = 'Would the user enjoy the movie? Answer with "Yes" or "No". \n#Answer:'

_OTHER_SPELLINGS = (("Yes", "No"), ("yes", "no"), ("YES", "NO"), ("True", "False"), ("1", "0"))


@dataclass(frozen=True)
class Answers:
    """The two answer tokens of a tokenizer."""

    yes: int
    """Token id of the positive answer."""
    no: int
    """Token id of the negative answer."""
    texts: tuple[str, str]
    """How the two are spelled after the prompt, a leading space included."""

    def __str__(self) -> str:
        return f"{self.texts[0]!r} = {self.yes}, {self.texts[1]!r} = {self.no}"


def find_answers(
    tokenizer: PreTrainedTokenizerBase,
    frame: PromptFrame,
    texts: tuple[str, str] | None = None,
) -> Answers:
    """Find the tokens of both answers after a prompt, and check that they can be scored.

    An answer can be scored where writing it behind the prompt adds exactly one token and leaves
    the prompt's own tokens as they are.

    Parameters
    ----------
    tokenizer
        The tokenizer of the model.
    frame
        What stands around the prompt; after a plain prompt the answer begins with a space.
    texts
        How to spell the answers; None for Yes and No.

    Raises
    ------
    ConfigError
        An answer is more than one token, or both are the same token. The message names the
        spellings that would do.
    """
    space = " " if frame.answer_after_space else ""
    wanted = texts or (f"{space}Yes", f"{space}No")
    prompt = frame.wrap(_PROMPT)
    found = _answer_tokens(tokenizer, prompt, wanted)
    if found:
        return Answers(*found, wanted)
    raise ConfigError(_complaint(tokenizer, prompt, wanted))


def _answer_tokens(
    tokenizer: PreTrainedTokenizerBase, prompt: str, texts: tuple[str, str]
) -> tuple[int, int] | None:
    yes, no = (_added(tokenizer, prompt, text) for text in texts)
    if len(yes) == len(no) == 1 and yes != no:
        return yes[0], no[0]
    return None


def _added(tokenizer: PreTrainedTokenizerBase, prompt: str, text: str) -> list[int]:
    """Return the tokens that `text` adds behind `prompt`; none where it changes the prompt's."""
    before = _ids(tokenizer, prompt)
    after = _ids(tokenizer, prompt + text)
    return after[len(before) :] if after[: len(before)] == before else []


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _complaint(tokenizer: PreTrainedTokenizerBase, prompt: str, wanted: tuple[str, str]) -> str:
    pieces = {
        text: tokenizer.convert_ids_to_tokens(_added(tokenizer, prompt, text)) for text in wanted
    }
    story = ", ".join(
        f"{text!r} becomes {tokens if tokens else 'part of the token before it'}"
        for text, tokens in pieces.items()
    )
    candidates = [
        (f"{space}{yes}", f"{space}{no}") for yes, no in _OTHER_SPELLINGS for space in ("", " ")
    ]
    usable = [pair for pair in candidates if _answer_tokens(tokenizer, prompt, pair)]
    advice = (
        "Set `answers` of the backbone to one of: " + ", ".join(str(list(p)) for p in usable)
        if usable
        else "None of the usual spellings is one token either: take a model with another tokenizer"
    )
    return (
        f"Each answer must be one token of its own behind the prompt, but with the tokenizer "
        f"{type(tokenizer).__name__} {story}. {advice}."
    )
