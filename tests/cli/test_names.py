import json
from typing import Any

import pytest

from corarec.cli import names
from corarec.cli.names import completing, options, registries
from corarec.errors import ConfigError


def test_help_and_completion_know_the_names_of_the_registries() -> None:
    known = registries()
    assert tuple(known["sources"]) == names.SOURCES
    assert tuple(known["splits"]) == names.SPLIT_RULES
    assert tuple(known["cf_models"]) == names.CF_MODELS
    assert sorted(names.SYSTEMS) == sorted(known["systems"])
    assert completing(names.CF_MODELS)("m") == ["mf", "mf-b"]


def test_every_option_of_everything_is_listed_with_its_meaning(capsys: Any) -> None:
    options(None, "json")
    described = json.loads(capsys.readouterr().out)
    for group, configs in registries().items():
        assert list(described[group]) == list(configs)
        for name, config in configs.items():
            listed = {option["name"].split(".")[0] for option in described[group][name]["options"]}
            assert listed == set(config.model_fields) - {"name"}
    for group in described.values():
        for each in group.values():
            assert each["about"]
            assert all(option["meaning"] and option["values"] for option in each["options"])


def test_one_name_lists_its_own_options_only(capsys: Any) -> None:
    options("temporal")
    out = capsys.readouterr().out
    assert out.startswith("temporal (prepare --split, --split-option): Two moments cut")
    assert "valid: number > 0 < 1; default 0.1\n      share of the rows in valid\n" in out
    assert "movielens" not in out


def test_a_name_that_nobody_has_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no 'temporel'; choose one of .* Did you mean 'tempor"):
        options("temporel")
