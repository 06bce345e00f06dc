import itertools

import numpy as np
import pytest
from jinja2.exceptions import SecurityError

from corarec.errors import ConfigError, DataError
from corarec.pretrain.documents import Renderer, Rows, article_last, clip, is_held_out

ROWS = [{"a": n, "kinds": ["even" if n % 2 == 0 else "odd"]} for n in range(6)]


def renderer(*templates: str, seed: int = 0) -> Renderer:
    weighted = [(text, 1.0) for text in templates]
    return Renderer(Rows(ROWS), weighted, np.random.default_rng(seed))


def first(source: Renderer, count: int) -> list[str]:
    return list(itertools.islice(source.documents(), count))


@pytest.mark.parametrize(
    ("title", "moved"),
    [
        ("The Shawshank Redemption", "Shawshank Redemption, The"),
        ("A Quiet Sea", "Quiet Sea, A"),
        ("La Strada", "Strada, La"),
        ("Die Hard", "Die Hard"),
        ("Theodora", "Theodora"),
        ("The", "The"),
    ],
)
def test_article_last(title: str, moved: str) -> None:
    assert article_last(title) == moved


def test_clip_prefers_the_end_of_a_sentence() -> None:
    assert clip("One two. Three four five.", 15) == "One two."
    assert clip("One two three four", 9) == "One two"
    assert clip("Short.", 9) == "Short."


def test_held_out_share() -> None:
    chosen = [is_held_out(str(n), 0.1) for n in range(5000)]
    assert 400 < sum(chosen) < 600
    assert chosen == [is_held_out(str(n), 0.1) for n in range(5000)]


def test_rows_having_equal_or_contained_values() -> None:
    rows = Rows(ROWS)
    assert [row["a"] for row in rows.having(kinds="odd")] == [1, 3, 5]
    assert [row["a"] for row in rows.having(kinds="odd", a=3)] == [3]
    assert rows.having(kinds="prime") == []


def test_each_pass_shows_every_row_once() -> None:
    source = renderer("{{ a }}")
    documents = first(source, 12)
    assert sorted(documents[:6]) == sorted(documents[6:]) == list("012345")
    assert documents[:6] != documents[6:]
    assert source.passes == 1


def test_the_seed_decides_everything() -> None:
    template = "{{ a }} {{ [1, 2, 3] | shuffle }} {{ chance(0.5) }} {{ random_row().a }}"
    assert first(renderer(template), 20) == first(renderer(template), 20)
    assert first(renderer(template), 20) != first(renderer(template, seed=1), 20)


def test_empty_results_are_left_out() -> None:
    source = renderer("{% if a > 3 %}{{ a }}{% endif %}")
    assert sorted(first(source, 2)) == ["4", "5"]


def test_a_template_that_never_says_anything() -> None:
    with pytest.raises(DataError, match="left every row of its source empty"):
        first(renderer("{% if a > 9 %}{{ a }}{% endif %}"), 1)


def test_templates_are_sandboxed() -> None:
    with pytest.raises(SecurityError):
        first(renderer("{{ kinds.__class__.__mro__ }}"), 1)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ConfigError, match="'b' is undefined"):
        first(renderer("{{ b }}"), 1)
