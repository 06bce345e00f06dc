"""The plain-text prompts: what the language model reads about a pair."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from corarec.types import Config

CORA_TEMPLATE = (
    "#Question: A user has given high ratings to the following {nouns}: {history}. "
    "Leverage the information to predict whether the user would enjoy the {noun} titled {title}? "
    'Answer with "Yes" or "No". \n#Answer:'
)
"""The prompt of CoRA (paper, Table 1), also that of TALLRec and of in-context learning here."""

HISTORY, DISLIKED, TITLE = "history", "disliked", "title"
STARS = "stars"
QUOTED = '"{title}"'
"""How a title stands in a prompt."""
NOUNS = ("noun", "nouns")
COMMON_SLOTS = frozenset({HISTORY, DISLIKED, TITLE, *NOUNS})
"""The slots that every system can fill."""


def slot_names(template: str) -> list[str]:
    """Return the names of a template's slots in their order, repeated ones repeated.

    Raises
    ------
    ValueError
        A brace stands alone.
    """
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def title_once(template: str) -> str:
    """Return the template if it names the title once.

    Raises
    ------
    ValueError
        It does not.
    """
    count = slot_names(template).count(TITLE)
    if count != 1:
        raise ValueError(
            "the prompt needs the slot {title} exactly once, or it could not say which item is "
            f"meant; it has it {count} times. Write a brace that is meant literally twice: "
            "{{ or }}"
        )
    return template


def title_and_stars(form: str) -> str:
    """Return how a title of the past stands if that names the title once, and stars at most.

    Raises
    ------
    ValueError
        It does not.
    """
    found = slot_names(form)
    if found.count(TITLE) != 1 or set(found) - {TITLE, STARS}:
        raise ValueError(
            f"a title of the past stands as {form!r}, with the slots {found}; wanted are {{title}} "
            "once and, for the rating that the user gave, {stars}. Write a brace that is meant "
            "literally twice: {{ or }}"
        )
    return form


class PromptConfig(Config):
    """How a pair becomes text."""

    template: Annotated[str, AfterValidator(title_once)] = CORA_TEMPLATE
    """Text with the slots {history}, {title}, {noun} (movie) and {nouns} (movies), and those that
    the system adds; {disliked} shows titles that the user did not like."""
    history_length: Annotated[int, Field(ge=0)] = 10
    """How many of the last liked titles are shown, oldest first, and of the disliked ones."""
    past_title: Annotated[str, AfterValidator(title_and_stars)] = QUOTED
    """How each title of {history} and {disliked} stands there. With {stars}, as in
    `"{title}" ({stars} stars)`, it shows the rating that the user gave; where that is not known,
    the title alone in quotes."""
    no_history: str = "unknown"
    """What stands in {history} where nothing is known. The authors' files print `unkow`."""
    titles: Literal["shown", "none"] = "shown"
    """`none` keeps the template and removes all titles: nothing stands in {history} and {disliked},
    and empty quotes in {title}, so that only ids or CF vectors tell pairs apart."""
    literal_newline: bool = False
    r"""Print line breaks as the two characters `\n`, as the authors' files do."""
    max_length: Annotated[int, Field(gt=0)] | None = None
    """Longest prompt in tokens; the oldest history titles go first. None: the model's own limit."""

    @property
    def shows_stars(self) -> bool:
        """Whether ratings stand beside titles."""
        past = {HISTORY, DISLIKED} & set(slot_names(self.template))
        return bool(past) and self.titles == "shown" and STARS in slot_names(self.past_title)


def check_slots(config: PromptConfig, added: frozenset[str], needed: frozenset[str]) -> None:
    """See that a template has the slots that a system needs, and only such as it fills.

    Parameters
    ----------
    added
        The slots that the system fills beside the common ones.
    needed
        Those of them that must be there, once each.

    Raises
    ------
    ValueError
        A slot is unknown, missing, or soft tokens stand twice.
    """
    found = slot_names(config.template)
    known = COMMON_SLOTS | added
    if unknown := set(found) - known:
        raise ValueError(
            f"the prompt names the slots {sorted(unknown)}; this system knows {sorted(known)}. "
            "Write a brace that is meant literally twice: {{ or }}"
        )
    for name in sorted(needed):
        if found.count(name) != 1:
            raise ValueError(
                f"the prompt needs the slot {{{name}}} exactly once; it has it "
                f"{found.count(name)} times"
            )


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as text, and where its slots are."""

    text: str
    spans: dict[str, tuple[int, int]]
    """[first character, one past the last] by slot; a repeated slot's first place"""


class Template:
    """A template cut at its slots once, so that no prompt is ever searched.

    Parameters
    ----------
    noun, nouns
        What an item is called: "movie" and "movies".
    frame
        Text before and after every prompt, such as the turns of a chat template.
    """

    def __init__(
        self, config: PromptConfig, noun: str, nouns: str, frame: tuple[str, str] = ("", "")
    ) -> None:
        text = config.template.replace("\n", "\\n") if config.literal_newline else config.template
        words = dict(zip(NOUNS, (noun, nouns), strict=True))
        self._parts = list(cut(text, words))
        self._frame = frame

    def fill(self, slots: Mapping[str, str]) -> RenderedPrompt:
        """Return the prompt with every slot filled."""
        pieces, spans, place = [self._frame[0]], {}, len(self._frame[0])
        for literal, name in self._parts:
            piece = slots[name] if name is not None else ""
            place += len(literal)
            if name is not None and name not in spans:
                spans[name] = (place, place + len(piece))
            place += len(piece)
            pieces += (literal, piece)
        return RenderedPrompt("".join([*pieces, self._frame[1]]), spans)


class PastTitle:
    """How one title of what a user liked, or did not, stands in a prompt.

    Parameters
    ----------
    form
        Text with the slot {title} and, perhaps, {stars}.
    """

    def __init__(self, form: str) -> None:
        self._parts = list(cut(form, {}))
        self._needs_stars = STARS in slot_names(form)

    def fill(self, title: str, stars: float) -> str:
        """Return the title with its stars, in quotes alone where these are NaN."""
        if self._needs_stars and isnan(stars):
            return quote(title)
        said = {TITLE: title, STARS: f"{stars:g}"}
        return "".join(words + (said[name] if name else "") for words, name in self._parts)


def cut(text: str, words: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield literal text and the slot behind it, words filled in; None where no slot follows."""
    literal = ""
    for before, name, _, _ in Formatter().parse(text):
        literal += before
        if name is not None and name in words:
            literal += words[name]
        elif name is not None:
            yield literal, name
            literal = ""
    yield literal, None


def quote(title: str) -> str:
    """Put a title in double quotes, as the prompts do."""
    return f'"{title}"'
