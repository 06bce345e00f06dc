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
    assert config.targets == ["q", "k", "v", "o"]
    assert config.task_type == "CAUSAL_LM"


def test_survives_its_json(tmp_path: Path) -> None:
    layers = [LayerPattern(path="blocks.*.qkv", roles=("q", "k", "v"), layout="per_head")]
    config = CoraConfig(generator=GENERATOR, r=8, alpha=4.0, targets=["v", "q"], layers=layers)
    config.save_pretrained(str(tmp_path))
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert written["peft_type"] == "CORA"
    assert written["generator"]["vector_size"] == 4
    assert written["layers"][0]["layout"] == "per_head"
    assert PeftConfig.from_pretrained(str(tmp_path)) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": None}, r"needs to know the size of the CF vectors"),
        ({"generator": {"vector_size": 4, "blocks": 2}}, r"`generator` .* wrong.*blocks"),
        ({"targets": ["q", "query"]}, r"`targets` .* wrong.*'query'"),
        ({"targets": []}, r"each role must be named once"),
        ({"targets": ["q", "q"]}, r"each role must be named once"),
        ({"layers": [{"path": "a", "roles": []}]}, r"`layers` .* wrong"),
        ({"r": 0}, r"r=0, .* wanted r of 1 or more"),
        ({"alpha": -1.0}, r"alpha=-1.0"),
        ({"dropout": 1.0}, r"dropout=1.0"),
        ({"task_type": "SEQ_CLS"}, r"causal language model, not for 'SEQ_CLS'"),
    ],
)
def test_wrong_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        CoraConfig(**({"generator": GENERATOR} | changes))
