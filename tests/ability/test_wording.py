"""Answers as words."""

import pytest
from rouge_score.rouge_scorer import RougeScorer

from corarec.ability.wording import exact, first_choice, rouge_l


def test_exact_match_knows_no_case_no_punctuation_and_no_article() -> None:
    assert exact(" The Nile.\n", ["a nile"])
    assert exact("caf\u00e9", ["CAFE\u0301"])
    assert exact("42", ["forty-two", "42"])
    assert not exact("The Nile, it is", ["Nile"])
    assert not exact("", ["."])
    assert not exact(" . ", ["x", ""])


def test_the_choice_that_is_named_first_counts() -> None:
    choices = ("answer1", "answer2", "answer10", "true")
    assert first_choice("It is Answer2, not answer1.", choices) == "answer2"
    assert first_choice("answer10", choices) == "answer10"
    assert first_choice("untrue, answer11", choices) == ""
    assert first_choice("", choices) == ""
    assert first_choice("a b", ("a", "a b")) == "a b"
    assert first_choice("c++ it is", ("c", "c++")) == "c++"


def test_rouge_l_by_hand() -> None:
    assert rouge_l("the cat sat", "the cat sat") == 1.0
    assert rouge_l("the dog", "a cat") == 0.0
    assert rouge_l("", "a") == rouge_l("a", "") == 0.0
    # common "police the gunman" is 2 of 4 words long beside 4: P = R = 3/4
    assert rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert rouge_l(
        "\u043a\u043e\u0442 \u0441\u043f\u0438\u0442", "\u043a\u043e\u0442"
    ) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        (
            "A charity says more homes are needed.",
            "More homes are needed, says a charity in Wales.",
        ),
        ("one two three four", "four three two one"),
        ("it, it and it", "it"),
    ],
)
def test_rouge_l_is_that_of_the_scorer_in_use(written: str, reference: str) -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    wanted = scorer.score(reference, written)["rougeL"].fmeasure
    assert rouge_l(written, reference) == pytest.approx(wanted, abs=1e-12)
