from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset, Knowledge, KnowledgePolicy
from corarec.errors import ConfigError
from corarec.recommenders import build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.shots import Shots
from corarec.score.scorer import Scorer
from corarec.types import Histories, Pairs

PLAIN = {"template": "{history}: {title}?", "history_length": 4}


def system(backbone: Path, **options: Any) -> ICLSystem:
    values = {"backbone": {"model": str(backbone)}, "prompt": PLAIN} | options
    return ICLSystem.model_validate(values)


def built(*args: Any, **options: Any) -> PromptRecommender:
    recommender = build_recommender(*args, **options)
    assert isinstance(recommender, PromptRecommender)
    return recommender


def shots_of(dataset: Dataset, backbone: Path, **options: Any) -> Shots:
    recommender = built(system(backbone, **options), dataset, seed=5)
    fill = recommender.encoder._renderer._texts["shots"].fill
    shots = fill.__self__  # type: ignore[attr-defined]
    assert isinstance(shots, Shots)
    return shots


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_no_row_is_shown_a_row_that_does_not_come_before_it(
    split: Any, small_world: Dataset, tiny_backbone: Path
) -> None:
    shots = shots_of(small_world, tiny_backbone, shots=3)
    table = small_world.interactions
    users, times = (table[name].to_numpy() for name in ("user_id", "timestamp"))
    in_train = (table["split"] == "train").to_numpy()
    pairs = small_world.pairs(split)
    assert pairs.rows is not None
    few = 0
    for row, shown in zip(pairs.rows, shots.of(pairs), strict=True):
        own = shown[users[shown] == users[row]]
        others = shown[users[shown] != users[row]]
        assert in_train[shown].all()
        assert (own < row).all()
        assert (times[others] < times[row]).all()
        assert len(set(shown.tolist())) == len(shown)
        assert (np.diff(times[shown]) >= 0).all()
        earlier = np.flatnonzero(in_train & (users == users[row]) & (np.arange(len(users)) < row))
        # Of the user where there are so many; then those of all, as far as there are any.
        assert len(own) == min(3, len(earlier))
        possible = len(earlier) + (in_train & (times < times[row]) & (users != users[row])).sum()
        assert len(shown) == min(3, possible)
        few += len(shown) < 3
    assert (few > 0) == (split == "train")  # the first rows of all


@pytest.mark.parametrize("name", ["snapshot", "streaming"])
def test_a_policy_says_whose_answers_are_known(
    name: str, small_world: Dataset, tiny_backbone: Path
) -> None:
    dataset = small_world.under(KnowledgePolicy.model_validate(name))
    shots = shots_of(dataset, tiny_backbone, shots=3)
    times = small_world.interactions["timestamp"].to_numpy()
    pairs = dataset.pairs("train")
    assert pairs.known_until is not None
    fewer = 0
    plain = shots_of(small_world, tiny_backbone, shots=3).of(small_world.pairs("train"))
    for shown, until, free in zip(shots.of(pairs), pairs.known_until, plain, strict=True):
        assert (times[shown] < until).all()
        fewer += shown.tolist() != free.tolist()
    assert (fewer > 0) == (name == "snapshot")  # no two rows of this world are of one second


def test_what_comes_later_changes_no_prompt(small_world: Dataset, tiny_backbone: Path) -> None:
    """All labels from the middle of each user's rows on are turned round, its own too."""
    table = small_world.interactions
    row = int(small_world.rows("train")[-30])
    moment = table["timestamp"][row]
    turned = table.with_columns(
        pl.when((pl.col("timestamp") >= moment) & (pl.int_range(pl.len()) >= row))
        .then(1 - pl.col("label"))
        .otherwise(pl.col("label"))
        .cast(table["label"].dtype)
        .alias("label")
    )
    assert not turned.equals(table)

    other = replace(small_world, interactions=turned)
    texts = []
    for dataset in (small_world, other):
        recommender = built(system(tiny_backbone, shots=4), dataset, seed=5)
        texts.append(recommender.encoder.render(dataset.pairs(np.array([row]))))
    assert texts[0] == texts[1]
    assert "?" in texts[0][0]


def test_an_example_is_the_prompt_of_its_row_with_the_answer(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    recommender = built(system(tiny_backbone, shots=2, shot_history=1), small_world, seed=5)
    shots = shots_of(small_world, tiny_backbone, shots=2, shot_history=1)
    pairs = small_world.pairs(small_world.rows("valid")[:5])
    titles = small_world.titles
    for n, (text, rows) in enumerate(
        zip(recommender.encoder.render(pairs), shots.of(pairs), strict=True)
    ):
        *examples, question = text.split("\n\n")
        plain = built(system(tiny_backbone), small_world).encoder
        assert question == plain.render(pairs.take(np.array([n])))[0]
        assert len(examples) == 2
        for example, row in zip(examples, rows, strict=True):
            shown = small_world.pairs(np.array([row]))
            liked = [titles[item] for item in shown.histories[0][-1:]]
            past = f'"{liked[0]}"' if liked else "unknown"
            answer = " Yes" if small_world.labels(np.array([row]))[0] else " No"
            assert example == f'{past}: "{titles[shown.item_ids[0]]}"?{answer}'


def test_the_seed_draws_and_somebody_new_is_shown_rows_of_all(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    shots = shots_of(small_world, tiny_backbone, shots=3)
    stranger = Pairs(np.array([0, 999]), np.array([1, 2]), Histories.from_lists([[], []]))
    first, second = shots.of(stranger)
    assert first.tolist() == second.tolist()
    assert len(first) == 3
    pairs = small_world.pairs("valid")
    same = [rows.tolist() for rows in shots.of(pairs)]
    assert same == [rows.tolist() for rows in shots.of(pairs)]
    shots.seed = 6
    assert same != [rows.tolist() for rows in shots.of(pairs)]


def test_examples_leave_half_of_the_room_to_the_question(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    limited = PLAIN | {"max_length": 300}
    config = system(tiny_backbone, shots=50, shot_history=0, prompt=limited)
    recommender = built(config, small_world)
    pairs = small_world.pairs("valid").take(slice(0, 20))
    assert recommender.encoder.encode(pairs).input_ids.shape[1] <= 300
    counts = [text.count("\n\n") for text in recommender.encoder.render(pairs)]
    assert 0 < max(counts) < 50
    assert np.isfinite(Scorer(recommender).score(pairs)).all()


def test_a_place_of_ones_own_for_the_examples(small_world: Dataset, tiny_backbone: Path) -> None:
    prompt = {"template": "Examples:\n{shots}Now:\n{title}?", "history_length": 1}
    recommender = built(system(tiny_backbone, shots=1, prompt=prompt), small_world)
    pairs = small_world.pairs(small_world.rows("valid")[:1])
    (text,) = recommender.encoder.render(pairs)
    assert text.startswith('Examples:\nExamples:\nNow:\n"')
    assert text.endswith(f'Now:\n"{small_world.titles[pairs.item_ids[0]]}"?')
    none = built(system(tiny_backbone, prompt=prompt), small_world)
    assert none.encoder.render(pairs)[0].startswith('Examples:\nNow:\n"')


def test_examples_need_the_dataset(small_world: Dataset, tiny_backbone: Path) -> None:
    knowledge = small_world.knowledge
    assert isinstance(knowledge, Knowledge)
    with pytest.raises(ConfigError, match="Use the run together with its dataset"):
        built(system(tiny_backbone, shots=1), knowledge)
    assert system(tiny_backbone, shots=1).needs_training_rows
    assert not system(tiny_backbone).needs_training_rows
