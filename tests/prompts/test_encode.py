from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corarec.errors import ConfigError, DataError
from corarec.prompts import PromptConfig, PromptEncoder, SoftSlot, TextSlot, encode
from corarec.prompts.render import SOFT_TOKEN
from corarec.types import Histories, Pairs

TITLES = ["", "Alien (1979)", "Heat (1995)", "Fargo (1996)", "Shawshank Redemption, The (1994)"]


def make_pairs(items: list[int], histories: list[list[int]]) -> Pairs:
    ids = np.array(items, dtype=np.int64)
    return Pairs(np.ones_like(ids), ids, Histories.from_lists(histories))


def make_encoder(tokenizer: Any, **options: Any) -> PromptEncoder:
    config = PromptConfig(**options)
    return PromptEncoder(tokenizer, config, TITLES, noun="movie", nouns="movies", max_length=1024)


def test_the_prompt_is_that_of_the_papers_table_1(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(tiny_tokenizer)
    assert encoder.render(make_pairs([4], [[1, 2]])) == [
        "#Question: A user has given high ratings to the following movies: "
        '"Alien (1979)", "Heat (1995)". Leverage the information to predict whether the user '
        'would enjoy the movie titled "Shawshank Redemption, The (1994)"? '
        'Answer with "Yes" or "No". \n#Answer:'
    ]


def test_only_the_last_titles_are_shown_oldest_first(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(tiny_tokenizer, template="{history}|{title}", history_length=2)
    assert encoder.render(make_pairs([1], [[1, 2, 3]])) == [
        '"Heat (1995)", "Fargo (1996)"|"Alien (1979)"'
    ]


def test_no_history_and_the_authors_literal_form(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(
        tiny_tokenizer,
        template="{nouns}: {history}. {noun} {title} \n#Answer:",
        no_history="unkow",
        literal_newline=True,
    )
    assert encoder.render(make_pairs([2], [[]])) == [
        'movies: unkow. movie "Heat (1995)" \\n#Answer:'
    ]


def test_a_batch_is_padded_on_the_left_and_each_row_is_its_own_prompt(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(tiny_tokenizer)
    pairs = make_pairs([1, 2], [[], [1, 2, 3]])
    encoded = encoder.encode(pairs)
    for n, text in enumerate(encoder.render(pairs)):
        kept = encoded.input_ids[n][encoded.attention_mask[n].bool()]
        assert kept.tolist() == tiny_tokenizer(text)["input_ids"]
        assert kept[0] == tiny_tokenizer.bos_token_id
    assert encoded.attention_mask[:, -1].tolist() == [1, 1]
    assert encoded.attention_mask[0, 0] == 0
    assert encoder.token_counts(pairs).tolist() == encoded.attention_mask.sum(dim=1).tolist()


@pytest.mark.parametrize("item", [1, 2, 3, 4])
def test_the_title_starts_where_it_is_said_to(tiny_tokenizer: Any, item: int) -> None:
    encoder = make_encoder(tiny_tokenizer)
    encoded = encoder.encode(make_pairs([item, 1], [[1], [1, 2, 3, 4]]))
    before = tiny_tokenizer.decode(encoded.input_ids[0, : encoded.starts["title"][0]])
    title_on = tiny_tokenizer.decode(encoded.input_ids[0, encoded.starts["title"][0] :])
    assert before.rstrip().endswith("the movie titled")
    assert title_on.lstrip().startswith(f'"{TITLES[item]}"?')


def test_a_prompt_over_the_limit_loses_its_oldest_titles(tiny_tokenizer: Any) -> None:
    pairs = make_pairs([4], [[2, 3, 1]])
    full = make_encoder(tiny_tokenizer, template="{history}|{title}")
    limit = int(full.token_counts(pairs)[0]) - 1
    short = make_encoder(tiny_tokenizer, template="{history}|{title}", max_length=limit)
    ids = short.encode(pairs).input_ids[0]
    assert len(ids) <= limit
    assert tiny_tokenizer.decode(ids, skip_special_tokens=True) == (
        '"Fargo (1996)", "Alien (1979)"|"Shawshank Redemption, The (1994)"'
    )


def test_a_prompt_too_long_without_history_is_an_error(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(tiny_tokenizer, max_length=5)
    with pytest.raises(ConfigError, match=r"item 2 \('Heat \(1995\)'\).*limit of 5"):
        encoder.encode(make_pairs([2], [[1]]))
    none_shown = make_encoder(tiny_tokenizer, max_length=5, history_length=0)
    with pytest.raises(ConfigError, match="limit of 5"):
        none_shown.encode(make_pairs([2], [[1]]))


def test_lengths_follow_the_text(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(tiny_tokenizer)
    pairs = make_pairs([1, 4, 4], [[], [], [1, 2]])
    texts = encoder.render(pairs)
    lengths = encoder.lengths(pairs)
    assert lengths[1] - lengths[0] == len(texts[1]) - len(texts[0])
    assert np.argsort(lengths).tolist() == [0, 1, 2]


def test_what_is_shown_of_a_history_does_not_depend_on_the_title(tiny_tokenizer: Any) -> None:
    """Prompts of one user begin alike, also where they are too long: candidates share a prefix."""
    history = [2, 3, 2, 3, 2]
    pairs = make_pairs([1, 2, 3, 4], [history] * 4)
    template = "Liked: {history}. Next: {title}?"
    full = int(make_encoder(tiny_tokenizer, template=template).token_counts(pairs).max())
    for limit in range(full - 40, full + 2):
        encoder = make_encoder(tiny_tokenizer, template=template, max_length=limit)
        encoded = encoder.encode(pairs)
        prompts = [
            tiny_tokenizer.decode(ids[mask.bool()], skip_special_tokens=True)
            for ids, mask in zip(encoded.input_ids, encoded.attention_mask, strict=True)
        ]
        assert len({prompt.split(" Next:")[0] for prompt in prompts}) == 1
        assert encoded.attention_mask.sum(dim=1).max() <= limit


def test_text_slots_are_filled_pair_by_pair_and_found_again(tiny_tokenizer: Any) -> None:
    bits = TextSlot(lambda pairs: [f"0{item}" for item in pairs.item_ids])
    config = PromptConfig(template="user {user}, {title}!")
    encoder = PromptEncoder(tiny_tokenizer, config, TITLES, slots={"user": bits})
    encoded = encoder.encode(make_pairs([3, 1], [[], []]))
    for n, wanted in enumerate(["03", "01"]):
        ids = encoded.input_ids[n, encoded.starts["user"][n] : encoded.ends["user"][n]]
        assert tiny_tokenizer.decode(ids).strip().strip(",") == wanted


def test_soft_slots_have_places_and_leave_the_other_text_alone(tiny_tokenizer: Any) -> None:
    config = PromptConfig(template="{item} likes {history}, {user} and {title}.")
    slots = {"user": SoftSlot(3, joiner="."), "item": SoftSlot()}
    encoder = PromptEncoder(tiny_tokenizer, config, TITLES, slots=slots)
    encoded = encoder.encode(make_pairs([1, 4], [[2], []]))
    assert encoded.soft["user"].shape == (2, 3)
    assert encoded.soft["item"].shape == (2, 1)
    for n in range(2):
        row = encoded.input_ids[n]
        user, item = encoded.soft["user"][n], encoded.soft["item"][n]
        assert (row[user] == tiny_tokenizer.pad_token_id).all()
        assert item[0] < user[0] < user[1] < user[2] < encoded.starts["title"][n]
        assert tiny_tokenizer.decode(row[user[0] + 1 : user[1]]) == "."
    assert encoded.input_ids.max() < len(tiny_tokenizer)
    assert SOFT_TOKEN not in tiny_tokenizer.get_vocab()


def test_a_title_that_looks_like_a_soft_token_is_refused(tiny_tokenizer: Any) -> None:
    config = PromptConfig(template="{user} {title}")
    titles = ["", f"A {SOFT_TOKEN}"]
    encoder = PromptEncoder(tiny_tokenizer, config, titles, slots={"user": SoftSlot()})
    with pytest.raises(DataError, match="marks the places of soft tokens"):
        encoder.encode(make_pairs([1], [[]]))


def test_new_titles_stand_behind_the_catalogue(tiny_tokenizer: Any) -> None:
    encoder = make_encoder(tiny_tokenizer, template="{history}|{title}")
    pairs = make_pairs([5, 6, 1], [[1], [], []])
    assert encoder.render(pairs, ["New (2001)", "Newer (2002)"]) == [
        '"Alien (1979)"|"New (2001)"',
        'unknown|"Newer (2002)"',
        'unknown|"Alien (1979)"',
    ]
    lengths = encoder.lengths(pairs, ["New (2001)", "Newer (2002)"])
    assert lengths[1] - lengths[2] == len("Newer (2002)") - len("Alien (1979)")


def test_prompts_longer_than_the_model_reads_are_refused(tiny_tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="max_length is 1025, .* reads 1024 tokens at most"):
        make_encoder(tiny_tokenizer, max_length=1025)
    encoder = make_encoder(tiny_tokenizer, max_length=1024)
    with pytest.raises(ConfigError, match="Set it to 1024 or less"):
        encoder.with_config(PromptConfig(max_length=5000))
    assert encoder.with_config(PromptConfig(max_length=900)).max_length == 900


def test_disliked_titles_are_shown_as_the_liked_ones_are(tiny_tokenizer: Any) -> None:
    template = "{history}|{disliked}|{title}"
    encoder = make_encoder(tiny_tokenizer, template=template, history_length=2)
    pairs = make_pairs([1, 2], [[1], [2, 3]])
    assert encoder.render(pairs)[0] == '"Alien (1979)"|unknown|"Alien (1979)"'
    known = replace(pairs, disliked=Histories.from_lists([[1, 2, 3], []]))
    assert encoder.render(known) == [
        '"Alien (1979)"|"Heat (1995)", "Fargo (1996)"|"Alien (1979)"',
        '"Heat (1995)", "Fargo (1996)"|unknown|"Heat (1995)"',
    ]
    assert encoder.lengths(known)[0] > encoder.lengths(pairs)[0]
    assert encoder.shown(known).tolist() == [1, 2]
    assert encoder.render(known.take(np.array([1]))) == encoder.render(known)[1:]


def test_a_prompt_over_the_limit_loses_disliked_titles_too(tiny_tokenizer: Any) -> None:
    template = "{history}|{disliked}|{title}"
    pairs = replace(make_pairs([4], [[1]]), disliked=Histories.from_lists([[2, 3, 1, 3]]))
    full = make_encoder(tiny_tokenizer, template=template)
    limit = int(full.token_counts(pairs)[0]) - 1
    short = make_encoder(tiny_tokenizer, template=template, max_length=limit)
    ids = short.encode(pairs).input_ids[0]
    assert len(ids) <= limit
    text = tiny_tokenizer.decode(ids, skip_special_tokens=True)
    assert text.startswith('"Alien (1979)"|"Fargo (1996)", "Alien (1979)", "Fargo (1996)"|')
    assert short.shown(pairs).tolist() == [1]


def test_without_titles_the_template_is_kept_and_pairs_read_alike(tiny_tokenizer: Any) -> None:
    template = "Likes: {history}. Not: {disliked}. {noun} {title}?"
    encoder = make_encoder(tiny_tokenizer, template=template, titles="none")
    pairs = make_pairs([4, 1, 2], [[1, 2], [], [3]])
    pairs = replace(pairs, disliked=Histories.from_lists([[], [4], [1, 2]]))
    assert set(encoder.render(pairs)) == {'Likes: . Not: . movie ""?'}
    assert set(encoder.render(make_pairs([5], [[]]), ["New"])) == {'Likes: . Not: . movie ""?'}
    encoded = encoder.encode(pairs)
    assert (encoded.input_ids == encoded.input_ids[0]).all()
    start = int(encoded.starts["title"][0])
    assert tiny_tokenizer.decode(encoded.input_ids[0, start:]).strip() == '""?'
    assert encoder.shown(pairs).tolist() == encoder.lengths(pairs).tolist() == [0, 0, 0]


def test_titles_of_a_large_catalogue_are_counted_in_parts(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, together = make_encoder(tiny_tokenizer), []

    def counted(texts: list[str], **named: Any) -> Any:
        together.append(len(texts))
        return tiny_tokenizer(texts, **named)

    monkeypatch.setattr(encode, "_AT_ONCE", 2)
    monkeypatch.setattr(encoder, "tokenizer", counted)
    longest = max(len(tiny_tokenizer(f'"{title}"').input_ids) - 1 for title in TITLES[1:])
    assert encoder._title_room == longest
    assert together == [2, 2]


def test_titles_of_the_catalogue_are_not_counted_where_prompts_are_short(
    tiny_tokenizer: Any,
) -> None:
    pairs = make_pairs([1, 4], [[2, 3], [1]])
    full = int(make_encoder(tiny_tokenizer).token_counts(pairs).max())
    encoder = make_encoder(tiny_tokenizer, max_length=full + 100)
    encoder.encode(pairs)
    assert encoder.shown(pairs).tolist() == [2, 1]
    assert "_title_room" not in vars(encoder)  # it takes seconds for 100,000 titles


def test_stars_stand_beside_what_was_rated_and_nowhere_else(tiny_tokenizer: Any) -> None:
    template, form = "{history}|{disliked}|{title}", "{title}: {stars}"
    encoder = make_encoder(tiny_tokenizer, template=template, past_title=form, history_length=2)
    stars = np.array([5.0, 4.5, np.nan, 3.0])
    ends = np.array([3, 4])
    liked = Histories(np.array([1, 2, 3, 1]), np.array([0, 3]), ends, stars)
    pairs = replace(
        make_pairs([4, 4], [[], []]),
        histories=liked,
        disliked=Histories(np.array([2]), np.array([0, 1]), np.array([1, 1]), np.array([1.0])),
    )
    shown = encoder.render(pairs)
    title = '"Shawshank Redemption, The (1994)"'
    assert shown[0] == f'Heat (1995): 4.5, "Fargo (1996)"|Heat (1995): 1|{title}'
    assert shown[1] == f"Alien (1979): 3|unknown|{title}"
    assert encoder.render(pairs.take(np.array([1]))) == shown[1:]


def test_without_titles_no_stars_are_shown_either(tiny_tokenizer: Any) -> None:
    options = {"template": "{history}|{title}", "past_title": "{title}: {stars}", "titles": "none"}
    encoder = make_encoder(tiny_tokenizer, **options)
    assert encoder.render(make_pairs([4], [[1]])) == ['|""']
