"""The plain-text prompts: what the language model reads about a pair."""

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, Field

from corarec.types import Config

CORA_TEMPLATE = (
    "#Question: A user has given high ratings to the following {nouns}: {history}. "
    "Leverage the information to predict whether the user would enjoy the {noun} titled {title}? "
    'Answer with "Yes" or "No". \n#Answer:'
)
"""The prompt of CoRA (paper, Table 1), also that of TALLRec and of in-context learning here."""

_SLOTS = {"history", "title", "noun", "nouns"}


def _known_slots(text: str) -> str:
    found = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
    if unknown := found - _SLOTS:
        raise ValueError(
            f"the prompt names the slots {sorted(unknown)}; known are {sorted(_SLOTS)}. "
            "Write a brace that is meant literally twice: {{ or }}"
        )
    if text.count("{title}") != 1 or "title" not in found:
        raise ValueError(
            "the prompt needs the slot {title} exactly once, or it could not say which item is "
            f"meant; it has it {text.count('{title}')} times"
        )
    return text


class PromptConfig(Config):
    """How a pair becomes text."""

    template: Annotated[str, AfterValidator(_known_slots)] = CORA_TEMPLATE
    """Text with the slots {history}, {title}, {noun} (movie) and {nouns} (movies)."""
    history_length: Annotated[int, Field(ge=0)] = 10
    """How many of the last liked titles are shown, oldest first."""
    no_history: str = "unknown"
    """What stands in {history} where nothing is known. The authors' files print `unkow`."""
    literal_newline: bool = False
    r"""Print line breaks as the two characters `\n`, as the authors' files do."""
    max_length: Annotated[int, Field(gt=0)] | None = None
    """Longest prompt in tokens; the oldest history titles go first. None: the model's own limit."""


def quote(title: str) -> str:
    """Put a title in double quotes, as the prompts do."""
    return f'"{title}"'


def split_template(config: PromptConfig, noun: str, nouns: str) -> tuple[str, str]:
    """Return the prompt before and after the target title, nouns filled in, {history} still open.

    The title is the one place that a caller may need to find again (late activation), so the
    template is cut there once instead of being searched for in every prompt.
    """
    text = config.template.replace("\n", "\\n") if config.literal_newline else config.template
    before, after = text.split("{title}", 1)
    fill = {"noun": noun, "nouns": nouns, "history": "{history}"}
    return before.format(**fill), after.format(**fill)
