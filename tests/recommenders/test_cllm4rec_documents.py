from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from corarec.errors import ConfigError
from corarec.prompts.wording import word_tokens
from corarec.recommenders.cllm4rec_documents import (
    CLLM4RecWording,
    ContentDocuments,
    ContextPrompts,
    InteractionDocuments,
    MixedDocuments,
    RecommendationDocuments,
    Texts,
    masked_counts,
    shuffled,
)
from corarec.recommenders.cllm4rec_tokens import ExtendedVocabulary
from corarec.types import Histories, Pairs

WORDS = 1000
VOCABULARY = ExtendedVocabulary(WORDS, num_users=9, num_items=50)
ITEM = WORDS + 10
"""The token of item 0."""
USERS = np.array([2, 5])
ITEMS = Histories.from_lists([[3, 8, 20], [1, 2, 4, 6, 9, 11, 30, 40, 41, 42]])


@pytest.fixture
def texts(tiny_tokenizer: PreTrainedTokenizerFast) -> Texts:
    return Texts(CLLM4RecWording(), tiny_tokenizer, VOCABULARY, None)


def limited(texts: Texts, length: int) -> Texts:
    return Texts(CLLM4RecWording(), texts.tokenizer, VOCABULARY, length)


def tokens(batch: dict[str, torch.Tensor], row: int, name: str = "ids") -> list[int]:
    mask = batch.get("mask", batch.get("attention_mask"))
    assert mask is not None
    return batch[name][row][mask[row] == 1].tolist()


def test_the_main_text_is_the_items_in_the_order_of_their_numbers(texts: Texts) -> None:
    batch = InteractionDocuments(texts, USERS, ITEMS).batch(np.array([1, 0]))
    prompt = texts.interactions.fill({"user": [WORDS + 2]})
    assert tokens(batch, 1) == [*prompt, ITEM + 3, ITEM + 8, ITEM + 20]
    assert batch["ids"][1][batch["main"][1]].tolist() == [ITEM + 3, ITEM + 8, ITEM + 20]
    assert batch["mask"][:, -1].tolist() == [1, 1]  # padded on the left
    assert batch["mask"][1, 0] == 0
    main = batch["ids"][0][batch["main"][0]] - ITEM
    assert main.tolist() == sorted(main.tolist()) == ITEMS[1].tolist()


def test_too_long_a_main_text_loses_its_tail(texts: Texts) -> None:
    prompt = texts.interactions.fill({"user": [WORDS + 2]})
    short = limited(texts, len(prompt) + 2)
    batch = InteractionDocuments(short, USERS, ITEMS).batch(np.array([0, 1]))
    assert batch["ids"].shape[1] == len(prompt) + 2
    assert (batch["ids"][:, -2:] - ITEM).tolist() == [[3, 8], [1, 2]]


@pytest.mark.parametrize(
    ("count", "masked"), [(1, 1), (2, 1), (4, 1), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3)]
)
def test_a_fifth_of_the_items_is_masked_and_at_least_one(count: int, masked: int) -> None:
    assert masked_counts(np.array([count]), 0.2).tolist() == [masked]
    assert masked == max(1, int(0.2 * count))


def test_a_recommendation_has_room_for_the_items_that_are_shown(texts: Texts) -> None:
    batch = RecommendationDocuments(texts, USERS, ITEMS, 0.2).batch(np.array([0, 1]))
    assert batch["shown"].tolist() == [2, 8]
    assert batch["items"].tolist() == [[3, 8, 20] + [0] * 7, ITEMS[1].tolist()]
    for row, (user, count) in enumerate(((2, 2), (5, 8))):
        first = int(batch["first"][row])
        slots = {"user": [WORDS + user], "items": [0] * count}
        found = batch["ids"][row].clone()
        assert (found[first : first + count] >= ITEM).all()
        found[first : first + count] = 0
        assert found[batch["mask"][row] == 1].tolist() == texts.recommendation.fill(slots)


def test_too_long_a_recommendation_shows_fewer_items_and_keeps_its_words(texts: Texts) -> None:
    closing = word_tokens(texts.tokenizer, " will interact with")
    fixed = len(texts.recommendation.fill({"user": [0], "items": []}))
    for room, shown in ((3, [2, 3]), (0, [0, 0])):
        documents = RecommendationDocuments(limited(texts, fixed + room), USERS, ITEMS, 0.2)
        batch = documents.batch(np.array([0, 1]))
        assert batch["shown"].tolist() == shown
        assert batch["ids"][0].tolist()[-len(closing) :] == closing


def test_contents_are_reviews_and_descriptions(texts: Texts) -> None:
    documents = ContentDocuments(texts, np.array([7, 0]), np.array([4, 5]), ["So good", "Drama"])
    batch = documents.batch(np.array([0, 1]))
    review = texts.review.fill({"user": [WORDS + 7], "item": [ITEM + 4]})
    words = word_tokens(texts.tokenizer, " So good")
    assert tokens(batch, 0) == [*review, *words]
    assert batch["ids"][0][batch["main"][0]].tolist() == words
    description = texts.description.fill({"item": [ITEM + 5]})
    assert tokens(batch, 1) == [*description, *word_tokens(texts.tokenizer, " Drama")]
    assert sorted(documents.tokens.tolist()) == [WORDS + 7, ITEM + 4, ITEM + 5]


def test_kinds_stand_one_behind_the_other(texts: Texts) -> None:
    interactions = InteractionDocuments(texts, USERS, ITEMS)
    contents = ContentDocuments(texts, np.array([7]), np.array([4]), ["Good"])
    mixed = MixedDocuments({"a": interactions, "b": contents})
    assert len(mixed) == 3
    assert mixed.kinds.tolist() == [0, 0, 1]
    assert mixed.lengths.tolist() == [3, 10, 4]
    batch = mixed.batch(np.array([2, 1]))
    assert sorted(batch) == ["a.ids", "a.main", "a.mask", "b.ids", "b.main", "b.mask"]
    alone = interactions.batch(np.array([1]))
    assert all(torch.equal(batch[f"a.{name}"], values) for name, values in alone.items())
    assert sorted(mixed.batch(np.array([0]))) == ["a.ids", "a.main", "a.mask"]


def pairs_of(histories: list[list[int]], **more: Any) -> Pairs:
    count = len(histories)
    return Pairs(np.full(count, 2), np.full(count, 7), Histories.from_lists(histories), **more)


def test_at_a_score_all_liked_items_are_shown_in_an_order_that_company_does_not_change(
    texts: Texts,
) -> None:
    pairs = pairs_of([[3, 8, 20, 3], [], [20, 3, 8]])
    prompts = ContextPrompts(texts, pairs)
    batch = prompts.batch(np.array([2, 1, 0]))
    order = shuffled(np.array([3, 8, 20]))
    assert sorted(order.tolist()) == [3, 8, 20]
    slots = {"user": [WORDS + 2], "items": (ITEM + order).tolist()}
    wanted = texts.recommendation.fill(slots)
    assert tokens(batch, 0, "input_ids") == tokens(batch, 2, "input_ids") == wanted
    assert tokens(batch, 1, "input_ids") == texts.recommendation.fill(slots | {"items": []})
    assert batch["item_ids"].tolist() == [7, 7, 7]
    assert prompts.shown.tolist() == [4, 0, 3]


def test_the_order_is_that_of_no_number() -> None:
    items = np.arange(1, 5000)
    order = shuffled(items)
    assert sorted(order.tolist()) == items.tolist()
    assert abs(np.corrcoef(order, items)[0, 1]) < 0.05


def test_a_long_history_shows_the_last_items(texts: Texts) -> None:
    fixed = len(texts.recommendation.fill({"user": [0], "items": []}))
    prompts = ContextPrompts(limited(texts, fixed + 2), pairs_of([[3, 8, 20], [9]]))
    assert prompts.shown.tolist() == [2, 1]
    assert set(tokens(prompts.batch(np.array([0])), 0, "input_ids")) >= {ITEM + 8, ITEM + 20}
    assert ITEM + 3 not in tokens(prompts.batch(np.array([0])), 0, "input_ids")


def test_what_is_left_out_of_an_explanation_is_unknown(texts: Texts) -> None:
    nobody = Pairs(np.array([0]), np.array([0]), Histories.from_lists([[]]))
    batch = ContextPrompts(texts, pairs_of([[3]], seen_by_cf=nobody)).batch(np.array([0]))
    slots = {"user": [WORDS], "items": [ITEM + 3]}
    assert tokens(batch, 0, "input_ids") == texts.recommendation.fill(slots)
    assert batch["item_ids"].tolist() == [0]


def test_a_wording_without_its_slots_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"recommendation: .*\{items\} once"):
        CLLM4RecWording.parse({"recommendation": "{user} likes"}, "the test")
