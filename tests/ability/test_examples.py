"""How rows become examples."""

from typing import Any

import pytest

from corarec.ability.examples import FORMS, Example, FormError, form_of


def read(row: dict[str, Any]) -> Example:
    return form_of(row).read(1, row)


def labelled(body: str, choices: str, answer: str) -> dict[str, str]:
    return {
        "instruction": f"{body}\n\nAnswer format: {choices}",
        "input": "",
        "output": f"the correct answer is {answer}",
        "answer": answer,
    }


def test_labels_and_the_texts_of_the_options() -> None:
    order = "Please choose the correct solution to the question:"
    body = f"{order} Dry it.\n\nSolution1: In sun: now.\n\nSolution2: In rain."
    example = read(labelled(body, "solution1/solution2", "solution2"))
    assert example.choices == ("solution1", "solution2")
    assert example.gold == 1
    assert example.lead == "the correct answer is"
    assert example.cloze == ("Dry it.", ("In sun: now.", "In rain."))
    assert example.prompt.endswith("Answer format: solution1/solution2")


def test_a_sentence_with_a_blank_goes_on_with_the_option() -> None:
    body = "Please fill in: Ann thanked Bea because _ had helped.\n\nOption1: Ann Option2: Bea"
    example = read(labelled(body, "option1/option2", "option2"))
    assert example.cloze == (
        "Ann thanked Bea because",
        ("Ann had helped.", "Bea had helped."),
    )


@pytest.mark.parametrize(
    "body",
    [
        "Is it so?",
        "Please choose: \n\nAnswer1: a Answer2: b",
        "Please choose: What?\n\nAnswer1: Answer2: b",
        "Please choose: What?\n\nAnswer2: b Answer1: a",
    ],
)
def test_without_whole_options_there_are_labels_only(body: str) -> None:
    assert read(labelled(body, "answer1/answer2", "answer1")).cloze is None


def test_an_instruction_without_choices_is_matched_word_for_word() -> None:
    example = read({"instruction": "Name it.", "input": "The red one", "answer": " Rose "})
    assert example == Example(1, "Name it.\nThe red one", ("Rose",))


def test_the_other_forms() -> None:
    chosen = read({"question": "Which?", "choices": ["a b", "c"], "answer": 1})
    assert (chosen.answers, chosen.cloze) == (("c",), ("Which?", ("a b", "c")))
    assert read({"question": "Which?", "choices": ["a b", "c"], "answer": "a b"}).gold == 0
    nested = {"template": "It is", "result_names": [["x", ["y"]], "x"]}
    assert read(nested).answers == ("x", "y")
    assert read({"question": "Who?", "answers": ["I", "me"]}).answers == ("I", "me")
    assert read({"question": "Who?", "answer": "I"}).answers == ("I",)
    assert read({"article": "Long.", "summary_gt": "Short."}).answers == ("Short.",)
    assert read({"input": "Books: x.", "ground_truth": "Likes x."}).prompt == "Books: x."


def test_half_a_character_becomes_one_that_can_be_written() -> None:
    example = read({"article": "A \ud800 b", "summary_gt": "c"})
    example.prompt.encode()
    assert example.prompt == "A \ufffd b"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no known form"),
        ({"text": "x"}, "the fields text are of no known form. Known: instruction with answer"),
        ({"instruction": "x"}, "'answer' is missing; there are instruction"),
        ({"instruction": "", "answer": "x"}, "'instruction' is empty"),
        ({"instruction": " \n", "answer": "x"}, "'instruction' is empty"),
        ({"instruction": "x", "answer": float("nan")}, "'answer' is nan, where a text is wanted"),
        ({"instruction": "x", "answer": None}, "'answer' is None"),
        ({"instruction": "x", "answer": 3}, "'answer' is 3, where a text"),
        (labelled("x", "a/b", "c"), "'c' is none of the choices"),
        (labelled("x", "a", "a"), "two or more"),
        (labelled("x", "a/a", "a"), "two or more"),
        (labelled("x", "a//b", "a"), "two or more"),
        ({"question": "x", "choices": "abc", "answer": "a"}, "none of the choices|two or more"),
        ({"question": "x", "choices": ["a", "b"], "answer": 2}, "number 2, and .* 0 to 1"),
        ({"question": "x", "choices": ["a", "b"], "answer": -1}, "number -1"),
        ({"question": "x", "choices": ["a", "b"], "answer": True}, "'answer' is True"),
        ({"question": "x", "choices": ["a", "a"], "answer": 0}, "two of the choices are the same"),
        ({"question": "x", "choices": ["a", 5], "answer": 0}, "'choices' is 5"),
        ({"choices": ["a", "b"], "answer": 0}, "'question' is missing"),
        ({"template": "x", "result_names": []}, "'result_names' is .*list of texts"),
        ({"template": "x"}, "'result_names' is None"),
        ({"article": "x", "summary_gt": ""}, "'summary_gt' is empty"),
        ({"input": "x"}, "'ground_truth' is missing"),
    ],
)
def test_what_is_wrong_with_a_row(row: dict[str, Any], message: str) -> None:
    with pytest.raises(FormError, match=message):
        read(row)


def test_every_form_is_told_by_a_field_of_its_own() -> None:
    assert len({form.fields[0] for form in FORMS}) == len(FORMS)
