import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset
from corarec.errors import DataError, InUseError
from corarec.locks import lock_beside, locked
from corarec.recommenders.llm import PromptRecommender
from corarec.runs import Run, load_run
from corarec.runs import run as run_module
from corarec.score import batches, scorer
from corarec.score import table as score_table


@pytest.fixture(scope="module")
def run(trained_run: Path) -> Run:
    return load_run(trained_run)


def test_recommendations_are_new_to_the_user_ordered_and_titled(run: Run) -> None:
    best = run.recommend("7", k=5, candidates=20)
    assert best["rank"].to_list() == [1, 2, 3, 4, 5]
    assert best["probability"].to_list() == sorted(best["probability"], reverse=True)
    items = run.dataset.item_vocabulary.numbers(best["item"].to_list())
    assert not set(items) & set(run.dataset.timeline.seen(run.directory.user("7")).tolist())
    assert best["title"].to_list() == [run.dataset.titles[item] for item in items]
    assert max(best["candidate_rank"]) <= 20


def test_a_recommended_pair_scores_the_same_in_a_table(run: Run) -> None:
    best = run.recommend("7", k=3)
    scored = run.score(pl.DataFrame({"user": ["7"] * 3, "item": best["item"]}))
    np.testing.assert_allclose(scored["score"], best["score"], atol=1e-4)
    np.testing.assert_allclose(scored["probability"], best["probability"], atol=1e-4)


def test_a_new_user_gets_recommendations_by_liked_titles(run: Run) -> None:
    liked = [run.dataset.titles[1], run.dataset.titles[2]]
    best = run.recommend(liked=liked, k=4)
    assert len(best) == 4
    assert not set(best["title"]) & set(liked)


def test_a_new_item_is_scored_by_its_title(run: Run) -> None:
    probability = run.score_title("7", "The Midnight Heist (1994)")
    other = run.score_title("7", "Laughing Hearts (1987)")
    assert 0 < probability < 1
    assert probability != other
    assert isinstance(run.recommender, PromptRecommender)
    assert len(run.recommender.encoder.titles) == run.dataset.num_items + 1
    assert probability == run.score_title("7", "The Midnight Heist (1994)")


def test_a_user_sees_its_whole_history(run: Run, small_world: Dataset) -> None:
    user = run.directory.user("7")
    rows = (small_world.interactions["user_id"] == user) & (small_world.interactions["label"] == 1)
    wanted = small_world.interactions.filter(rows)["item_id"].to_list()
    assert run.dataset.timeline.liked(user).tolist() == wanted
    pairs = run.directory.pairs(np.array([user, 0]), np.array([1, 1]))
    assert pairs.histories[0].tolist() == wanted
    assert pairs.histories[1].tolist() == []


def test_unknown_names_are_errors_that_help(run: Run) -> None:
    with pytest.raises(DataError, match="There is no user 'nobody' among the 60"):
        run.recommend("nobody")
    title = run.dataset.titles[3]
    with pytest.raises(DataError, match="Did you mean") as caught:
        run.recommend(liked=[title.lower()])
    assert title in str(caught.value)
    with pytest.raises(DataError, match="either a user of the dataset or the titles"):
        run.recommend()
    with pytest.raises(DataError, match="k is 5 and candidates is 3"):
        run.recommend("7", k=5, candidates=3)
    with pytest.raises(DataError, match="Float64, which are no ids"):
        run.score(pl.DataFrame({"user": [7.0], "item": ["1"]}))


def test_cold_users_are_scored_and_unknown_items_are_not(run: Run) -> None:
    scored = run.score(pl.DataFrame({"user": ["a stranger"], "item": [1]}))
    assert 0 < scored["probability"][0] < 1
    with pytest.raises(DataError, match="The pairs: row 1 names the item 'x9'"):
        run.score(pl.DataFrame({"user": ["7", "7"], "item": ["1", "x9"]}))
    with pytest.raises(DataError, match="no column 'item'"):
        run.score(pl.DataFrame({"user": ["7"]}))
    with pytest.raises(DataError, match="row 0 has no user"):
        run.score(pl.DataFrame({"user": [None], "item": ["1"]}))


def test_a_stopped_file_goes_on_and_ends_as_if_never_stopped(
    run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 4)
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pairs = pl.DataFrame(
        {"user": [str(1 + n) for n in range(10)], "item": ["5"] * 10, "n": range(10)}
    )
    pairs.write_parquet(source)
    done = 0

    def stop_after_six(count: int) -> None:
        nonlocal done
        done += count
        if done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.score_file(source, output, progress=stop_after_six)
    assert not output.exists()
    assert len(list((tmp_path / "out.parquet.parts").glob("*.parquet"))) == 1
    assert run.score_file(source, output) == 10
    result = pl.read_parquet(output)
    assert result["n"].to_list() == list(range(10))
    np.testing.assert_allclose(result["score"], run.score(pairs)["score"], atol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_parts_of_another_file_are_discarded(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "in.parquet"
    pl.DataFrame({"user": ["7"], "item": ["1"]}).write_parquet(source)
    parts = tmp_path / "out.parquet.parts"
    parts.mkdir()
    (parts / "source.json").write_text('{"source": "other", "chunk_rows": 10000}')
    (parts / "000000000000.parquet").write_bytes(b"scores of something else")
    assert run.score_file(source, tmp_path / "out.parquet") == 1
    assert pl.read_parquet(tmp_path / "out.parquet").columns[-1] == "probability"
    assert "another run or another version: they are discarded" in caplog.text
    assert not parts.exists()


@pytest.mark.parametrize("what", ["PASS_TOKENS", "PASS_TOKENS_GPU", "code_digest"])
def test_parts_that_were_scored_in_other_passes_are_discarded(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 2)
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pl.DataFrame({"user": ["7"] * 5, "item": ["1"] * 5}).write_parquet(source)

    def stop(count: int) -> None:
        if list((tmp_path / "out.parquet.parts").glob("*.parquet")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.score_file(source, output, progress=stop)
    if what == "code_digest":
        monkeypatch.setattr(run_module, what, lambda: "other code of the same version")
    else:
        monkeypatch.setattr(batches if hasattr(batches, what) else scorer, what, 100)
    assert run.score_file(source, output) == 5
    assert "another run or another version: they are discarded" in caplog.text


def test_a_mistake_in_a_later_chunk_names_the_row_of_the_file(
    run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 2)
    source = tmp_path / "in.parquet"
    pl.DataFrame({"user": ["7"] * 5, "item": ["1", "1", "1", "x", "1"]}).write_parquet(source)
    with pytest.raises(DataError, match=r"in\.parquet: row 3 names the item 'x'"):
        run.score_file(source, tmp_path / "out.parquet")


def test_what_is_no_parquet_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("user,item")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        run.score_file(tmp_path / "bad.parquet", tmp_path / "o.parquet")


def test_an_empty_file_gives_an_empty_file(run: Run, tmp_path: Path) -> None:
    empty = pl.DataFrame({"user": [], "item": []}, schema={"user": pl.String, "item": pl.String})
    empty.write_parquet(tmp_path / "in.parquet")
    assert run.score_file(tmp_path / "in.parquet", tmp_path / "out.parquet") == 0
    assert pl.read_parquet(tmp_path / "out.parquet").columns == [
        "user",
        "item",
        "score",
        "probability",
    ]


def test_one_liked_title_may_come_alone(run: Run) -> None:
    title = run.dataset.titles[1]
    assert run.recommend(liked=title, k=3).equals(run.recommend(liked=[title], k=3))


def test_a_run_and_its_parts_are_named_in_a_line(run: Run) -> None:
    pairs = run.dataset.pairs("train")
    assert repr(run).startswith(f"Run('{run.folder}', system='cora', cf='mf-b', Dataset(")
    scores = run.dataset.score_table("train", np.zeros(len(pairs)))
    for thing in (run, run.dataset, pairs, pairs.histories, scores):
        assert len(repr(thing)) < 250
        assert "array" not in repr(thing)


def test_two_cannot_score_into_one_file(run: Run, tmp_path: Path) -> None:
    pl.DataFrame({"user": ["7"], "item": ["1"]}).write_parquet(tmp_path / "in.parquet")
    output = tmp_path / "out.parquet"
    with locked(lock_beside(output), "it"), pytest.raises(InUseError, match="out.parquet is in"):
        run.score_file(tmp_path / "in.parquet", output)
    assert run.score_file(tmp_path / "in.parquet", output) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.parquet", "out.parquet"}


def test_threads_that_use_one_run_get_the_bits_of_one_after_the_other(trained_run: Path) -> None:
    users = [str(1 + n) for n in range(8)]

    def use(run: Run, user: str) -> list[object]:
        pairs = pl.DataFrame({"user": [user] * 6, "item": [str(1 + n) for n in range(6)]})
        return [
            run.recommend(user, k=4, candidates=9).to_dicts(),
            run.recommend(liked=[run.knowledge.catalogue.titles[int(user)]], k=3).to_dicts(),
            run.score(pairs).to_dicts(),
            run.score_title(user, f"The Title of {user}"),
        ]

    alone = load_run(trained_run)
    serial = [use(alone, user) for user in users]
    shared = load_run(trained_run)  # nothing of it was made by an earlier use
    together = threading.Barrier(len(users))

    def at_once(user: str) -> list[object]:
        together.wait()
        return use(shared, user)

    with ThreadPoolExecutor(len(users)) as pool:
        for _ in range(3):
            assert list(pool.map(at_once, users)) == serial
    assert not shared.recommender.training


@pytest.mark.parametrize("pairs", [None, [("u1", "i1")], {"user": ["u1"]}, "pairs.csv"])
def test_pairs_that_are_no_table(run: Run, pairs: Any) -> None:
    with pytest.raises(DataError, match="a polars DataFrame is wanted, "):
        run.score(pairs)


def test_values_of_other_types(run: Run) -> None:
    user = run.dataset.user_vocabulary.raw_ids[0]
    for k, candidates in ((1.5, 4), ("3", 4), (2, None)):
        with pytest.raises(DataError, match="k is .* and candidates is"):
            run.recommend(user, k=k, candidates=candidates)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"liked are \[None\]; wanted are texts"):
        run.recommend(liked=[None])  # type: ignore[list-item]
    with pytest.raises(DataError, match="empty or no text"):
        run.score_title(user, None)  # type: ignore[arg-type]
