from typing import Any

import pytest
from tests.tune.conftest import MakeSpace

from corarec.errors import ConfigError

RATES = {"low": 1e-4, "high": 1e-2, "log": True}


def test_keys_at_any_depth_take_their_values(make_space: MakeSpace) -> None:
    space = make_space(
        {
            "train.learning_rate": RATES,
            "system.rank": [1, 4],
            "cf.options.embedding_size": {"low": 2, "high": 8},
            "train.phases.2.learning_rate": [2e-3],
        },
        train={"phases": [{"name": "first"}, {"name": "last"}]},
    )
    config = space.config(
        {"system.rank": 4, "cf.options.embedding_size": 8, "train.phases.2.learning_rate": 2e-3}
    )
    assert config.system.model_dump()["rank"] == 4
    assert config.cf is not None
    assert config.cf.model_dump()["options"]["embedding_size"] == 8
    assert [phase.train.learning_rate for phase in config.phases] == [1e-3, 2e-3]
    assert space.base.system.model_dump()["rank"] == 2


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("", "names no key to tune"),
        ({"train.learning_rat": [1e-3]}, r"train\.learning_rat.*Did you mean 'learning_rate'"),
        ({"system.rank": [2, 0]}, r"system\.rank: .*greater than 0.*the key 'system\.rank' of"),
        ({"system.rank": {"low": 0, "high": 4}}, r"system\.rank: .*greater than 0"),
        ({"cf.options.embeding_size": [4]}, r"embeding_size.*Did you mean 'embedding_size'"),
        ({"train.phases.1.steps": [4]}, r"train\.phases: Input should be a valid tuple"),
        ({"train..steps": [4]}, "has an empty name"),
        ({"train.steps.more": [4]}, "goes below 'steps', a plain value"),
        ({"system.rank": 4}, r"system\.rank is 4, where a list of values or"),
        ({"system.rank": []}, r"space\.yaml: system\.rank has 1 mistake"),
        ({"system.rank": [4, 4]}, "the choice 4 is given twice"),
        ({"system.rank": {"low": 4, "high": 4}}, r"low \(4\) must be below high \(4\)"),
        ({"train.learning_rate": {"low": 0.0, "high": 1.0, "log": True}}, "must be above 0"),
        ({"train.learning_rate": {"low": 1e-3, "hihg": 1}}, "Did you mean 'high'"),
        ("train.learning_rate: {low: .nan, high: 1.0}", "finite number"),
        ("train.learning_rate: {low: 1.0, high: .inf}", "finite number"),
        ("system.rank: {low: 1, high: 99999999999999999999}", "may be 9,007,199,254,740,992"),
        ("system.rank: {low: true, high: 4}", r"low"),
        ("system.rank: [!!binary aGk=]", "no kind that a recipe has"),
        ("system.rank: [1]\nsystem.rank: [2]", "given twice"),
        ({"seed": [0, 1]}, "seed changes seed, of which all trials must have the same"),
        ({"train": [{"validation_rows": 9}]}, r"train changes train\.validation_rows"),
        ({"system": [{"rank": 4}], "system.rank": [4]}, r"system\.rank lies inside system"),
    ],
)
def test_a_mistake_is_told_before_any_training(
    make_space: MakeSpace, space: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){words}"):
        make_space(space)


def test_a_phase_that_is_not_there_is_told(make_space: MakeSpace) -> None:
    train = {"phases": [{"name": "first"}, {"name": "last"}]}
    with pytest.raises(ConfigError, match=r"names '3' in a list that has first, last"):
        make_space({"train.phases.3.steps": [4]}, train=train)


def test_a_phase_by_its_name_and_by_its_number_is_one(make_space: MakeSpace) -> None:
    train = {"phases": [{"name": "first", "steps": 2}, {"name": "last", "steps": 2}]}
    both = {"train.phases.first.steps": [4, 5], "train.phases.1.steps": [6, 7]}
    with pytest.raises(ConfigError, match=r"first\.steps is the same as train\.phases\.1\.steps"):
        make_space(both, train=train)
    both = {"train.phases.first.steps": [4, 5], "train.phases.2.steps": [6, 7]}
    assert len(make_space(both, train=train).grid(0)) == 4


def test_a_value_that_needs_values_of_other_keys_is_allowed(make_space: MakeSpace) -> None:
    rates = {"train.learning_rate": [1e-5, 1e-3], "train.final_learning_rate": [1e-6, 1e-4]}
    space = make_space(rates)  # 1e-5 is below the recipe's own final rate
    with pytest.raises(ConfigError, match="above learning_rate"):
        space.config({"train.learning_rate": 1e-5, "train.final_learning_rate": 1e-4})


def test_choices_of_every_kind_are_told_apart(make_space: MakeSpace) -> None:
    targets = [["q_proj"], ["q_proj", "k_proj"]]
    space = make_space({"system.targets": targets, "train.validate_every": {"choices": [2, 3]}})
    grid = [space.values(point) for point in space.grid(seed=0)]
    assert len(grid) == 4
    for target in targets:
        assert {"system.targets": target, "train.validate_every": 2} in grid
    assert grid == [space.values(point) for point in space.grid(seed=0)]
    assert grid != [space.values(point) for point in space.grid(seed=1)]
    axis = make_space({"system.vectors.product": [True, False]}).axes["system.vectors.product"]
    assert axis.value(axis.drawn(False)) is False


def test_a_grid_needs_choices(make_space: MakeSpace) -> None:
    with pytest.raises(ConfigError, match=r"train\.learning_rate has a range, and a grid needs"):
        make_space({"train.learning_rate": RATES}).grid(seed=0)


def test_a_grid_without_end_is_refused(make_space: MakeSpace) -> None:
    many = list(range(1, 1001))
    keys = ("train.steps", "train.batch_size", "train.patience")
    space = make_space(dict.fromkeys(keys, many))
    with pytest.raises(ConfigError, match="has 1,000,000,000 combinations"):
        space.grid(seed=0)
