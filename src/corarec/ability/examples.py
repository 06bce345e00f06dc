"""Questions and texts of a user as examples: what is asked, and what would be right."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

Kind = Literal["choice", "exact", "rouge", "prompts"]
"""What an answer is held against: given choices, accepted answers, a reference text, nothing."""


@dataclass(frozen=True)
class Example:
    """One thing that is asked."""

    row: int
    """Its place in the file: line, or number in the list, from 1."""
    prompt: str
    answers: tuple[str, ...] = ()
    """What is accepted, or the reference text; empty where nobody said."""
    choices: tuple[str, ...] = ()
    """The answers to choose from, the right one among them."""
    lead: str = ""
    """How an answer begins before the choice is named."""
    cloze: tuple[str, tuple[str, ...]] | None = None
    """The question without its options, and each option as text that may follow it."""

    @property
    def gold(self) -> int:
        """The number of the right choice."""
        return self.choices.index(self.answers[0])


class FormError(ValueError):
    """What is wrong with a row, without file and row."""


Row = Mapping[str, Any]


@dataclass(frozen=True)
class Form:
    """A form of files: the fields by which it is told, and how a row of it becomes an example."""

    name: str
    fields: tuple[str, ...]
    """Needed ones; the first tells the form."""
    kind: Kind
    read: Callable[[int, Row], Example]


def text_of(row: Row, field: str, *, may_be_empty: bool = False) -> str:
    """Return a field that must be text.

    Raises
    ------
    FormError
        It is missing, empty or something else.
    """
    if field not in row:
        raise FormError(f"the field {field!r} is missing; there are {', '.join(row) or 'none'}")
    value = row[field]
    if isinstance(value, float) and not isfinite(value):
        raise FormError(f"{field!r} is {value}, where a text is wanted")
    if not isinstance(value, str):
        raise FormError(f"{field!r} is {value!r:.80}, where a text is wanted")
    # Halves of a character, which no tokenizer takes, come by escapes.
    value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not value.strip() and not may_be_empty:
        raise FormError(f"{field!r} is empty")
    return value


def texts_of(row: Row, field: str) -> tuple[str, ...]:
    """Return a field that is one text or a list of them, however nested, each once."""
    found = list(_flat(row.get(field)))
    if not found or field not in row:
        raise FormError(f"{field!r} is {row.get(field)!r:.80}, where a list of texts is wanted")
    return tuple(dict.fromkeys(text_of({field: value}, field) for value in found))


def _flat(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        return [] if value is None else [value]
    return [each for part in value for each in _flat(part)]


_FORMAT = re.compile(r"\s*Answer format:\s*(\S.*?)\s*$", re.DOTALL)
_ORDER = re.compile(r"^Please\b[^:]*:\s*")


def _instruction(number: int, row: Row) -> Example:
    prompt, answer = text_of(row, "instruction"), text_of(row, "answer").strip()
    if text_of(row, "input", may_be_empty=True) if "input" in row else "":
        prompt = f"{prompt}\n{row['input']}"
    found = _FORMAT.search(text_of(row, "instruction"))
    if found is None:
        return Example(number, prompt, (answer,))
    choices = tuple(choice.strip() for choice in found[1].split("/"))
    _check_choices(choices, answer)
    output = text_of(row, "output", may_be_empty=True) if "output" in row else ""
    lead = output.removesuffix(answer).strip() if output.endswith(answer) else ""
    question = _ORDER.sub("", text_of(row, "instruction")[: found.start()])
    return Example(number, prompt, (answer,), choices, lead, _cloze(question, choices))


def _cloze(question: str, choices: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Take the options, written `Answer1: text Answer2: text`, out of a question."""
    starts, place = list[tuple[int, int]](), 0
    for choice in choices:
        found = re.compile(rf"\b{re.escape(choice)}:", re.IGNORECASE).search(question, place)
        if found is None:
            return None
        starts.append(found.span())
        place = found.end()
    ends = [start for start, _ in starts[1:]] + [len(question)]
    options = [question[end:last].strip() for (_, end), last in zip(starts, ends, strict=True)]
    asked = question[: starts[0][0]].strip()
    if not asked or not all(options):
        return None
    before, blank, after = asked.partition("_")
    if blank and "_" not in after:
        # A sentence with a blank: it goes on with the option, and what follows the blank is judged.
        return before.strip(), tuple(f"{option}{after}" for option in options)
    return asked, tuple(options)


def _check_choices(choices: tuple[str, ...], answer: str) -> None:
    if len(choices) < 2 or not all(choices) or len(set(choices)) < len(choices):
        raise FormError(f"the choices are {list(choices)!r:.120}; wanted are two or more")
    if answer not in choices:
        raise FormError(f"the answer {answer!r:.80} is none of the choices {list(choices)!r}")


def _choices(number: int, row: Row) -> Example:
    question, choices = text_of(row, "question"), texts_of(row, "choices")
    if len(choices) < len(list(_flat(row["choices"]))):
        raise FormError("two of the choices are the same")
    answer = row.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool):
        if not 0 <= answer < len(choices):
            raise FormError(
                f"the answer is number {answer}, and the choices are 0 to {len(choices) - 1}"
            )
        answer = choices[answer]
    else:
        answer = text_of(row, "answer")
    _check_choices(choices, answer)
    return Example(number, question, (answer,), choices, cloze=(question, choices))


FORMS = (
    Form("instruction with answer", ("instruction", "answer"), "choice", _instruction),
    Form("question with choices", ("choices", "question", "answer"), "choice", _choices),
    Form(
        "WikiFact",
        ("template", "result_names"),
        "exact",
        lambda n, row: Example(n, text_of(row, "template"), texts_of(row, "result_names")),
    ),
    Form(
        "question with answers",
        ("question", "answers"),
        "exact",
        lambda n, row: Example(
            n,
            text_of(row, "question"),
            texts_of(row, "answers" if "answers" in row or "answer" not in row else "answer"),
        ),
    ),
    Form(
        "XSum",
        ("article", "summary_gt"),
        "rouge",
        lambda n, row: Example(n, text_of(row, "article"), (text_of(row, "summary_gt"),)),
    ),
    Form(
        "input with ground truth",
        ("input", "ground_truth"),
        "rouge",
        lambda n, row: Example(n, text_of(row, "input"), (text_of(row, "ground_truth"),)),
    ),
)


def form_of(row: Row) -> Form:
    """Return the form of a file by its first row.

    Raises
    ------
    FormError
        It is of none.
    """
    for form in FORMS:
        if form.fields[0] in row:
            return form
    known = "; ".join(f"{form.name} ({', '.join(form.fields)})" for form in FORMS)
    came = ", ".join(row) or "none"
    raise FormError(f"the fields {came} are of no known form. Known: {known}")
