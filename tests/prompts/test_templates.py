import pytest

from corarec.errors import ConfigError
from corarec.prompts.templates import (
    QUOTED,
    PastTitle,
    PromptConfig,
    Template,
    check_slots,
    quote,
    slot_names,
)

NOTHING: frozenset[str] = frozenset()


def parsed(**values: object) -> PromptConfig:
    return PromptConfig.parse(values, "the test")


def test_slots_are_read_in_their_order() -> None:
    assert slot_names("{a} {{not}} {b}{a}") == ["a", "b", "a"]


def test_a_system_says_which_slots_it_fills_and_needs() -> None:
    config = PromptConfig(template="{user} {title}")
    with pytest.raises(ValueError, match=r"slots \['user'\]; this system knows .*'title'"):
        check_slots(config, NOTHING, NOTHING)
    check_slots(config, frozenset({"user", "item"}), frozenset({"user"}))
    with pytest.raises(ValueError, match=r"needs the slot {item} exactly once; it has it 0 times"):
        check_slots(config, frozenset({"user", "item"}), frozenset({"item"}))


def test_filling_says_where_every_slot_is() -> None:
    config = PromptConfig(template="{nouns}: {history}.\n{{{user}}} {noun} {title}? {history}")
    prompt = Template(config, "film", "films", frame=("<u>", "</u>")).fill(
        {"history": "none", "user": "U", "title": "Heat"}
    )
    assert prompt.text == "<u>films: none.\n{U} film Heat? none</u>"
    found = {name: prompt.text[slice(*span)] for name, span in prompt.spans.items()}
    assert found == {"history": "none", "user": "U", "title": "Heat"}
    assert prompt.spans["history"][0] == prompt.text.index("none")


def test_line_breaks_may_be_printed_as_two_characters() -> None:
    config = PromptConfig(template="{title}\n!", literal_newline=True)
    assert Template(config, "", "").fill({"title": "a\nb"}).text == "a\nb\\n!"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{history}", "needs the slot {title} exactly once"),
        ("{title} or {title}", "it has it 2 times"),
        ("{{title}}", "needs the slot {title} exactly once"),
    ],
)
def test_a_template_that_does_not_say_which_item_is_meant(template: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(template=template)


def test_bounds() -> None:
    with pytest.raises(ConfigError, match="history_length"):
        parsed(history_length=-1)
    with pytest.raises(ConfigError, match="max_length"):
        parsed(max_length=0)


def test_titles_are_quoted() -> None:
    assert quote("Heat (1995)") == '"Heat (1995)"'


def test_a_title_of_the_past_with_stars_and_without_them() -> None:
    form = PastTitle('"{title}" ({stars} of {{5}})')
    assert form.fill("{Heat}", 4.0) == '"{Heat}" (4 of {5})'
    assert form.fill("Heat", 4.5) == '"Heat" (4.5 of {5})'
    assert form.fill("Heat", float("nan")) == '"Heat"'
    assert PastTitle(QUOTED).fill("Heat", float("nan")) == '"Heat"'


@pytest.mark.parametrize("form", ["{stars}", "{title} {title}", "{title} {year}", "{", "Heat"])
def test_what_no_title_of_the_past_can_stand_as(form: str) -> None:
    with pytest.raises(ConfigError, match="past_title"):
        parsed(past_title=form)


def test_whether_a_prompt_shows_stars() -> None:
    form = "{title}, {stars}"
    assert parsed(past_title=form).shows_stars
    assert not parsed().shows_stars
    assert not parsed(past_title=form, template="{title}?").shows_stars
    assert not parsed(past_title=form, titles="none").shows_stars
    assert parsed(past_title=form, template="not {disliked}: {title}?").shows_stars
