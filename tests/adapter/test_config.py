import json
from pathlib import Path
from typing import Any

import pytest
from peft import PeftConfig

from corarec.adapter import CoraConfig, GeneratorConfig, LayerPattern
from corarec.errors import ConfigError

GENERATOR = GeneratorConfig.preset("fit", 4)


def test_defaults_are_those_of_the_authors_code() -> None:
    config = CoraConfig(generator=GENERATOR)
    assert (config.r, config.alpha, config.scale, config.dropout) == (16, 32, 2.0, 0.05)
    assert config.target_modules == ["q", "k", "v", "o"]
    assert config.task_type == "CAUSAL_LM"


def test_survives_its_json(tmp_path: Path) -> None:
    layers = [LayerPattern(path="blocks.*.qkv", roles=("q", "k", "v"), layout="per_head")]
    config = CoraConfig(
        generator=GENERATOR,
        r=8,
        alpha=4.0,
        target_modules=["v", "q"],
        layers=layers,
        layers_to_transform=[3, 1],
    )
    config.save_pretrained(str(tmp_path))
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert written["peft_type"] == "CORA"
    assert written["generator"]["vector_size"] == 4
    assert written["layers"][0]["layout"] == "per_head"
    assert PeftConfig.from_pretrained(str(tmp_path)) == config


def test_an_adapter_saved_under_the_former_name_loads_as_it_was(tmp_path: Path) -> None:
    CoraConfig(generator=GENERATOR, target_modules=["v", "q"]).save_pretrained(str(tmp_path))
    path = tmp_path / "adapter_config.json"
    saved = json.loads(path.read_text())
    assert "targets" not in saved
    saved["targets"] = saved.pop("target_modules")
    del saved["layers_to_transform"]
    path.write_text(json.dumps(saved))
    config = PeftConfig.from_pretrained(str(tmp_path))
    assert isinstance(config, CoraConfig)
    assert config.target_modules == ["v", "q"]
    assert config == CoraConfig(generator=GENERATOR, targets=["v", "q"])


def test_the_names_of_layers_stand_for_roles() -> None:
    names: Any = ["q_proj", "v", "down_proj"]
    assert CoraConfig(generator=GENERATOR, target_modules=names).target_modules == [
        "q",
        "v",
        "down",
    ]


def test_one_block_is_a_number() -> None:
    number: Any = 2
    assert CoraConfig(generator=GENERATOR, layers_to_transform=number).layers_to_transform == [2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": None}, r"needs to know the size of the CF vectors"),
        ({"generator": {"vector_size": 4, "blocks": 2}}, r"`generator` .* wrong.*blocks"),
        ({"target_modules": ["q", "query"]}, r"`target_modules` .* wrong.*'query'"),
        ({"target_modules": []}, r"each role must be named once"),
        ({"target_modules": ["q", "q"]}, r"each role must be named once"),
        ({"target_modules": ["q", "q_proj"]}, r"each role must be named once"),
        ({"target_modules": ["q"], "targets": ["q"]}, r"`targets` is the former name"),
        ({"layers_to_transform": []}, r"each block must be named once"),
        ({"layers_to_transform": [1, 1]}, r"each block must be named once"),
        ({"layers_to_transform": [-1]}, r"`layers_to_transform` .* wrong"),
        ({"layers": [{"path": "a", "roles": []}]}, r"`layers` .* wrong"),
        ({"r": 0}, r"r=0, .* wanted r of 1 or more"),
        ({"r": 1.5}, r"`r` of CoraConfig is wrong"),
        ({"r": "8"}, r"`r` of CoraConfig is wrong"),
        ({"alpha": -1.0}, r"alpha=-1.0"),
        ({"alpha": float("nan")}, r"`alpha` of CoraConfig is wrong"),
        ({"dropout": "much"}, r"`dropout` of CoraConfig is wrong"),
        ({"dropout": 1.0}, r"dropout=1.0"),
        ({"task_type": "SEQ_CLS"}, r"causal language model, not for 'SEQ_CLS'"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        CoraConfig(**({"generator": GENERATOR} | changes))
