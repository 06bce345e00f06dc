import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from corarec.data import Dataset, Knowledge
from corarec.errors import ArtifactError


@pytest.fixture
def folder(small_world: Dataset, tmp_path: Path) -> Path:
    small_world.knowledge.write(tmp_path)
    return tmp_path


def test_what_is_known_of_everybody_survives_saving(small_world: Dataset, folder: Path) -> None:
    read = Knowledge.read(folder)
    assert read.name == small_world.card.name
    assert read.fingerprint == small_world.fingerprint
    assert read.catalogue.titles == small_world.titles
    assert (read.catalogue.noun, read.catalogue.nouns) == ("movie", "movies")
    assert read.catalogue.vocabulary.raw_ids == small_world.item_vocabulary.raw_ids
    assert read.catalogue.popularity.tolist() == small_world.popularity.tolist()
    assert read.catalogue.recent.tolist() == small_world.recent_popularity.tolist()
    assert 0 < read.catalogue.recent.sum() < read.catalogue.popularity.sum()
    assert read.users.raw_ids == small_world.user_vocabulary.raw_ids
    for user in range(small_world.num_users + 1):
        assert read.timeline.liked(user).tolist() == small_world.timeline.liked(user).tolist()
        assert read.timeline.seen(user).tolist() == small_world.timeline.seen(user).tolist()


def test_what_was_drawn_as_a_negative_stays_unmet(small_world: Dataset, tmp_path: Path) -> None:
    card = small_world.card.model_copy(update={"negatives_drawn": True})
    drawn = replace(small_world, card=card)
    user = int(drawn.interactions["user_id"][int(np.argmin(drawn.timeline.labels))])
    liked = np.unique(small_world.timeline.liked(user)).tolist()
    assert drawn.timeline.seen(user).tolist() == liked
    assert len(liked) < len(small_world.timeline.seen(user))
    for knowledge in (drawn.knowledge, drawn.knowledge.without_times()):
        knowledge.write(tmp_path)
        assert Knowledge.read(tmp_path).timeline.seen(user).tolist() == liked


def test_the_same_knowledge_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    Knowledge.read(folder).write(again)
    for path in again.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_without_users_nobody_is_known(small_world: Dataset, tmp_path: Path) -> None:
    small_world.knowledge.without_users().write(tmp_path)
    read = Knowledge.read(tmp_path)
    assert len(read.users) == 0
    assert read.num_users == 60
    assert read.timeline.user_ids.tolist() == []
    assert read.timeline.seen(0).tolist() == []
    assert read.timeline.liked_counts().tolist() == [0]
    assert read.catalogue.titles == small_world.titles


def names(change: Callable[[dict], object]) -> Callable[[Path], None]:  # type: ignore[type-arg]
    def spoil(folder: Path) -> None:
        content = json.loads((folder / "names.json").read_text("utf-8"))
        change(content)
        (folder / "names.json").write_text(json.dumps(content), "utf-8")

    return spoil


def rows(name: str, value: np.ndarray) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        content = load_file(folder / "rows.safetensors")
        content[name] = value
        save_file(content, folder / "rows.safetensors")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "names.json").unlink(), "names.json does not exist"),
        (lambda folder: (folder / "names.json").write_text("[]"), "not of format 1"),
        (lambda folder: (folder / "rows.safetensors").unlink(), "rows.safetensors"),
        (lambda folder: (folder / "rows.safetensors").write_text("{"), "damaged"),
        (names(lambda n: n.update(format=2)), "not of format 1"),
        (names(lambda n: n.pop("users")), "KeyError: 'users'"),
        (names(lambda n: n["titles"].reverse()), "its titles are not those"),
        (names(lambda n: n.update(noun="book")), "its titles are not those"),
        (names(lambda n: n["items"].pop()), "its items are not those"),
        (names(lambda n: n["users"].append("x")), "61 users are named, and there are 60"),
        (names(lambda n: n["users"].reverse()), "its users are not those"),
        (names(lambda n: n["titles"].append(5)), "titles must be texts"),
        (rows("popularity", np.zeros(3, np.int64)), "differ in number"),
        (rows("item_ids", np.zeros(3, np.int64)), "IndexError"),
        (rows("user_ids", np.ones(3, np.int64)), "differ in length"),
        (rows("user_ids", np.full(1200, 99)), "user ids must ascend"),
        (rows("item_ids", np.full(1200, 51)), "item ids must lie in 1 to 50"),
        (rows("labels", np.full(1200, 2, np.int8)), "labels must be 0 or 1"),
    ],
)
def test_what_was_spoiled_is_refused(
    folder: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(folder)
    with pytest.raises(ArtifactError, match=message):
        Knowledge.read(folder)
