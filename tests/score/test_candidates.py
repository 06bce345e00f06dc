"""Which items are scored for one person: known ones in CF's order, and some new ones."""

import numpy as np
import pytest

from corarec.data import Catalogue
from corarec.data.vocabulary import Vocabulary
from corarec.score.candidates import NEW_SHARE, Candidates, candidates
from corarec.score.context import Context

KNOWN = 30
FRESH = [
    "Harbour of Glass",
    "Rivers of Silver",
    "A Comet at Noon",
    "The Second Comet",
    "Quiet Gardens",
]


@pytest.fixture
def catalogue() -> Catalogue:
    titles = ["", *(f"Known {n}" for n in range(1, KNOWN)), "The First Comet", *FRESH]
    popularity = np.zeros(len(titles), np.int64)
    popularity[1 : KNOWN + 1] = np.arange(KNOWN, 0, -1)
    ids = [f"i{n}" for n in range(1, len(titles))]
    return Catalogue(titles, "movie", "movies", Vocabulary(ids), popularity, popularity)


def chosen(
    catalogue: Catalogue, count: int, *, liked: tuple[int, ...] = (), known: int = KNOWN
) -> Candidates:
    items = np.concatenate([np.arange(1, known + 1), KNOWN + np.arange(1, len(FRESH) + 1)])
    new = items > KNOWN
    arrival = np.where(new, items, 0)
    context = Context(0, np.array(liked, np.int64))
    return candidates(None, catalogue, context, items, new, arrival, count=count)


def test_without_cf_the_popular_come_first_and_a_share_is_kept_for_new_items(
    catalogue: Catalogue,
) -> None:
    found = chosen(catalogue, 20)
    fresh = round(NEW_SHARE * 20)
    assert len(found.item_ids) == 20
    assert found.item_ids[: 20 - fresh].tolist() == list(range(1, 21 - fresh))
    assert found.ranks.tolist() == [*range(1, 21 - fresh), *[0] * fresh]
    # Nobody is known to like anything: the latest.
    assert found.item_ids[20 - fresh :].tolist() == [KNOWN + 5, KNOWN + 4]


def test_new_items_are_by_turns_the_latest_and_the_nearest_to_what_was_liked(
    catalogue: Catalogue,
) -> None:
    found = chosen(catalogue, 20, liked=(KNOWN,))
    latest, nearest = found.item_ids[-2:].tolist()
    assert latest == KNOWN + 5
    assert "Comet" in catalogue.titles[nearest]


def test_new_items_fill_what_known_ones_leave_free_and_none_comes_twice(
    catalogue: Catalogue,
) -> None:
    found = chosen(catalogue, 6, liked=(2,), known=2)
    assert found.item_ids[:2].tolist() == [1, 2]
    assert len(set(found.item_ids.tolist())) == len(found.item_ids) == 6
    everything = chosen(catalogue, 1000)
    assert sorted(everything.item_ids.tolist()) == list(range(1, KNOWN + len(FRESH) + 1))


def test_of_one_candidate_a_new_item_has_the_place(catalogue: Catalogue) -> None:
    found = chosen(catalogue, 1)
    assert (found.item_ids.tolist(), found.ranks.tolist()) == ([KNOWN + 5], [0])


def test_of_nothing_nothing_is_chosen(catalogue: Catalogue) -> None:
    nothing = np.zeros(0, np.int64)
    context = Context(0, nothing)
    found = candidates(
        None, catalogue, context, nothing, nothing.astype(np.bool_), nothing, count=5
    )
    assert (len(found.item_ids), len(found.ranks)) == (0, 0)
