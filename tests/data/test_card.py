import pytest

from corarec.data.card import FORMAT_VERSION, DatasetCard, SplitCounts
from corarec.errors import ConfigError

COUNTS = {"rows": 3, "users": 2, "items": 2, "positives": 1, "warm": 3}
CARD = {
    "name": "toy",
    "source": "table",
    "split": "temporal",
    "labels": "rating >= 4",
    "num_users": 2,
    "num_items": 2,
    "counts": {"train": COUNTS},
    "licence": "free",
}


def test_a_card_comes_back_from_json_with_the_current_version() -> None:
    card = DatasetCard.parse(CARD, "card.json")
    assert card.format_version == FORMAT_VERSION
    assert card.counts["train"] == SplitCounts(**COUNTS)
    assert DatasetCard.model_validate_json(card.model_dump_json()) == card
    assert (card.item_noun_singular, card.item_noun_plural) == ("item", "items")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num_user": 3}, "num_user"), ({"counts": {"train": {"rows": 1}}}, "counts.train.users")],
)
def test_a_card_of_another_shape_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DatasetCard.parse(CARD | change, "card.json")
