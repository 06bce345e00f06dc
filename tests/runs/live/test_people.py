"""What a service knows of people."""

from dataclasses import replace

import numpy as np
import pytest

from corarec.data import Dataset
from corarec.errors import DataError
from corarec.runs.live import Limits, People


def people_of(data: Dataset, **options: int) -> People:
    limits = Limits(**options)
    return People(data.knowledge, np.ones(len(data), np.bool_), limits, streams=True)


def test_rows_of_one_second_do_not_see_each_other(small_world: Dataset) -> None:
    people = people_of(small_world)
    people.tell("zoe", 3, "like", 100)
    people.tell("zoe", 4, "like", 100)
    people.tell("zoe", 5, "dislike", 101)
    number = people.number("zoe")
    assert people.context(number, 100).liked.tolist() == []
    assert people.context(number, 101).liked.tolist() == [3, 4]
    assert people.context(number).disliked.tolist() == [5]


def test_a_clock_that_jumps_back_only_changes_the_order(small_world: Dataset) -> None:
    people = people_of(small_world)
    people.tell("zoe", 3, "like", 500)
    people.tell("zoe", 3, "dislike", 400)
    people.tell("zoe", 4, "like", 100)
    context = people.context(people.number("zoe"))
    assert context.liked.tolist() == [4, 3]
    assert context.disliked.tolist() == []


def test_what_is_forgotten_is_gone_from_the_log_and_its_number_is_used_again(
    small_world: Dataset,
) -> None:
    people = people_of(small_world)
    log = people.log()
    assert log is not None
    before = len(log)
    people.tell("zoe", 3, "like", 500)
    number = people.number("zoe")
    after = people.log()
    assert after is not None
    assert len(after) == before + 1
    assert people.forget("zoe") == 1
    again = people.log()
    assert again is not None
    assert len(again) == before
    version = people.versions(np.array([number]))[0]
    people.tell("amy", 4, "like", 501)
    assert people.number("amy") == number
    assert people.versions(np.array([number]))[0] > version
    assert people.context(number).liked.tolist() == [4]


def test_what_was_drawn_as_a_negative_was_seen_once_it_was_told(small_world: Dataset) -> None:
    card = small_world.card.model_copy(update={"negatives_drawn": True})
    people = people_of(replace(small_world, card=card))
    row = int(np.argmin(small_world.timeline.labels))
    number = int(small_world.timeline.user_ids[row])
    drawn = int(small_world.timeline.item_ids[row])
    user = small_world.user_vocabulary.raw_ids[number - 1]
    liked = np.unique(small_world.timeline.liked(number)).tolist()
    assert people.seen(number).tolist() == liked
    people.tell(user, drawn, "seen", 10**9)
    assert people.seen(number).tolist() == sorted({*liked, drawn})


def test_there_is_room_for_so_many_events_and_no_more(small_world: Dataset) -> None:
    people = people_of(small_world, events_per_user=2, events=3)
    people.tell("zoe", 1, "like", 1)
    people.tell("zoe", 2, "like", 1)
    with pytest.raises(DataError, match=r"kept are 3 in all and 2 of one user"):
        people.tell("zoe", 3, "like", 1)
    people.tell("amy", 1, "like", 1)
    with pytest.raises(DataError, match="There are 3 events"):
        people.tell("bob", 1, "like", 1)
    assert people.number("bob") == 0
