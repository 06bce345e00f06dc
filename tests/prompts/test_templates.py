import pytest

from corarec.errors import ConfigError
from corarec.prompts.templates import CORA_TEMPLATE, PromptConfig, quote, split_template


def parsed(**values: object) -> PromptConfig:
    return PromptConfig.parse(values, "the test")


def test_the_template_is_cut_at_the_title_with_nouns_filled_in() -> None:
    before, after = split_template(PromptConfig(), "movie", "movies")
    assert before == (
        "#Question: A user has given high ratings to the following movies: {history}. Leverage "
        "the information to predict whether the user would enjoy the movie titled "
    )
    assert after == '? Answer with "Yes" or "No". \n#Answer:'
    assert CORA_TEMPLATE.count("{title}") == 1


def test_a_line_break_can_be_two_characters() -> None:
    _, after = split_template(PromptConfig(literal_newline=True), "movie", "movies")
    assert after.endswith('"No". \\n#Answer:')
    assert "\n" not in after


def test_braces_meant_literally_stay() -> None:
    config = parsed(template="{{json}} {history} {title}")
    before, after = split_template(config, "item", "items")
    assert (before, after) == ("{json} {history} ", "")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{title} {movie}", r"names the slots \['movie'\]"),
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
