"""A run that is told things while it is in use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.prompts import PromptEncoder
from corarec.recipe import RunConfig
from corarec.runs import load_run
from corarec.runs.live import ASKED, Filters, LiveRun
from corarec.runs.pack import pack_run
from corarec.train import train_run

NOW = 2_000_000_000


@pytest.fixture
def live(trained_run: Path) -> LiveRun:
    return LiveRun.open(trained_run)


def first_items(live: LiveRun, count: int) -> list[str]:
    return list(live.run.knowledge.catalogue.vocabulary.raw_ids[:count])


def test_a_like_counts_in_the_very_next_answer(live: LiveRun) -> None:
    liked, asked = first_items(live, 2)
    with pytest.raises(DataError, match="Nobody knows the user 'zoe'"):
        live.score([("zoe", asked)])
    live.record("zoe", liked, "like", NOW)
    (once,) = live.score([("zoe", asked)])
    assert not once.cold_user
    assert live.context("zoe").liked.tolist() == [live.number(liked)]
    live.record("zoe", liked, "dislike", NOW + 1)
    (again,) = live.score([("zoe", asked)])
    assert again.score != once.score
    assert live.context("zoe").liked.tolist() == []
    assert live.context("zoe").disliked.tolist() == [live.number(liked)]


def test_a_like_moves_the_vector_of_a_user_of_the_dataset(live: LiveRun) -> None:
    (user,) = live.example_users(1)
    seen = {event.item for event in live.known(user).events}
    item = next(item for item in first_items(live, 50) if item not in seen)
    pair = live.join([(live.context(user), np.array([1]))])
    assert live.run.cf is not None
    before = live.run.cf.vector_table(pair).users
    live.record(user, item, "like", NOW)
    after = live.run.cf.vector_table(pair).users
    assert not np.allclose(before, after)
    assert live.retract(user, item, "like", NOW)
    np.testing.assert_array_equal(live.run.cf.vector_table(pair).users, before)


def test_the_very_same_event_counts_once(live: LiveRun) -> None:
    (item,) = first_items(live, 1)
    assert live.record("zoe", item, "like", NOW, 4.0)
    assert not live.record("zoe", item, "like", NOW, 5.0)
    assert live.record("zoe", item, "like", NOW, 5.0, overwrite=True)
    assert not live.record("zoe", item, "like", NOW, 5.0, overwrite=True)
    (event,) = live.known("zoe").events
    assert (event.kind, event.stars, event.live) == ("like", 5.0, True)


def test_forgotten_users_are_strangers(live: LiveRun) -> None:
    (user,) = live.example_users(1)
    (item,) = first_items(live, 1)
    live.record(user, item, "like", NOW)
    assert live.forget(user) == 1
    with pytest.raises(DataError, match="Nobody knows the user"):
        live.known(user)
    assert live.forget(user) == 0
    live.record(user, item, "like", NOW)
    known = live.known(user)
    assert (len(known.events), known.in_dataset) == (1, False)


def test_a_new_item_is_scored_liked_recommended_and_removed(live: LiveRun) -> None:
    title = live.title(3)
    assert live.add_item("new", title, genres="Heist|War", year=1999)
    assert not live.add_item("new", title, genres="Heist|War", year=1999)
    (item,) = first_items(live, 1)
    live.record("zoe", item, "like", NOW)
    (scored,) = live.score([("zoe", "new")])
    assert scored.cold_item
    (own,) = live.score([("zoe", ("title", title))])
    assert own.score == pytest.approx(scored.score, abs=1e-5)
    offered = live.recommend("zoe", k=10, candidates=10)
    assert "new" in [found.item for found in offered]
    only = live.recommend("zoe", k=5, filters=Filters(where={"genres": "War"}, year_from=1990))
    assert [found.item for found in only] == ["new"]
    live.record("zoe", "new", "like", NOW + 5)
    assert live.context("zoe").liked.tolist()[-1] == live.first_free - 1
    live.score([("zoe", item)])
    assert live.remove_item("new")
    assert not live.remove_item("new")
    with pytest.raises(DataError, match="was removed"):
        live.score([("zoe", "new")])
    assert live.known("zoe").events[0].title == title
    assert live.add_item("new", "Another Title (2001)")
    assert live.item("new").title == "Another Title (2001)"


def test_an_item_of_the_dataset_cannot_be_taken_over(live: LiveRun) -> None:
    (item,) = first_items(live, 1)
    with pytest.raises(DataError, match="is one of the dataset"):
        live.add_item(item, "Another Title (2001)")
    assert live.remove_item(item)
    assert item not in [found.item for found in live.recommend(liked=[live.title(2)], k=20)]
    assert live.add_item(item, live.title(1))
    assert not live.item(item).removed


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("", "I", "like", NOW), "The user is ''"),
        (("a\nb", "I", "like", NOW), "cannot be printed"),
        (("zoe", "no such", "like", NOW), "There is no item"),
        (("zoe", "I", "love", NOW), "kind of event"),
        (("zoe", "I", "like", -1), "The time is -1"),
        (("zoe", "I", "like", float("nan")), "The time is nan"),
        (("zoe", "I", "like", NOW, float("inf")), "The rating is inf"),
        (("zoe", "I", "like", NOW, True), "The rating is True"),
    ],
)
def test_what_is_no_event_changes_nothing(
    live: LiveRun, values: tuple[object, ...], said: str
) -> None:
    (item,) = first_items(live, 1)
    with pytest.raises(DataError, match=said):
        live.record(*(item if value == "I" else value for value in values))  # type: ignore[arg-type]
    assert live.info()["events"] == 0


def test_somebody_new_is_folded_in_by_what_is_named(live: LiveRun) -> None:
    first, second, asked = first_items(live, 3)
    context = live.context(liked=[first, live.title(2)])
    assert context.liked.tolist() == [live.number(first), live.number(second)]
    assert live.context(liked=[first, second]).user_id == context.user_id
    (ranked,) = live.rank(liked=[first, second], items=[asked])
    live.record("zoe", first, "like", NOW)
    live.record("zoe", second, "like", NOW)
    (scored,) = live.score([("zoe", asked)])
    assert ranked.score == pytest.approx(scored.score, abs=1e-5)


def test_pairs_of_many_people_score_together_as_alone(live: LiveRun) -> None:
    items = first_items(live, 3)
    users = live.example_users(3)
    live.add_item("new", "Rivers (1999)")
    live.record("zoe", "new", "like", NOW)
    asked: list[ASKED] = [*zip(users, items, strict=True), ("zoe", items[0])]
    asked.append(("zoe", ("title", "Oh (1950)")))
    together = live.score(asked)
    alone = [live.score([pair])[0] for pair in asked]
    np.testing.assert_allclose(
        [one.score for one in together], [one.score for one in alone], atol=1e-5
    )


def test_years_that_no_item_has_are_no_empty_list(live: LiveRun) -> None:
    live._items._kept["years"] = np.zeros(live._items.count + 1, dtype=np.int64)
    for bounds in ({"year_from": 1990}, {"year_to": 1990}, {"year_from": 0}):
        with pytest.raises(DataError, match="no years to filter by"):
            live.recommend("zoe", filters=Filters(**bounds))  # type: ignore[arg-type]


def test_liked_items_are_named_by_title_with_spaces_around(live: LiveRun) -> None:
    (item,) = first_items(live, 1)
    title = live.title(live.number(item))
    assert live.context(liked=[f" {title} "]).liked.tolist() == [live.number(item)]


def test_stars_stand_in_the_prompts_of_a_packed_run_and_of_what_it_is_told(
    home: Path, recipe: dict[str, Any], tmp_path: Path
) -> None:
    prompt = {"past_title": "{title} [{stars}]"}
    icl = {"name": "icl", "backbone": recipe["system"]["backbone"], "prompt": prompt}
    config = {**recipe, "data": str(home / "world"), "cf": None, "system": icl}
    train_run(RunConfig.parse(config, "recipe"), tmp_path / "icl")
    archive = pack_run(tmp_path / "icl", tmp_path / "icl.zip").output
    packed = load_run(archive)
    encoder = packed.recommender.encoder
    assert isinstance(encoder, PromptEncoder)
    known = np.flatnonzero(packed.knowledge.timeline.liked_counts() > 2)[0]
    plain = packed.directory.known(known)
    told = LiveRun.open(archive)
    user = packed.knowledge.users.raw(np.array([known]))[0]
    assert encoder.render(plain.pairs(np.array([1]))) == encoder.render(
        told.context(user).pairs(np.array([1]))
    )
    assert "[5]" in encoder.render(plain.pairs(np.array([1])))[0]
    item = told.knowledge.catalogue.vocabulary.raw_ids[3]
    told.record("zoe", item, "like", 10**10, stars=4.5)
    (text,) = encoder.render(told.join([(told.context("zoe"), np.array([1]))]))
    title = told.title(told.number(item))
    assert f"{title} [4.5]" in text
    new = told.context(liked=[item])
    assert f'"{title}".' in encoder.render(told.join([(new, np.array([1]))]))[0]
    effects = told.explain("zoe", told.knowledge.catalogue.vocabulary.raw_ids[0]).effects
    assert title in effects["title"].to_list()
