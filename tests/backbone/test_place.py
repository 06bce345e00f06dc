import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoConfig, AutoTokenizer

from corarec.backbone import place as place_module
from corarec.backbone.load import BackboneConfig, load_backbone
from corarec.backbone.place import ModelPlace, hub_is_reachable, short
from corarec.errors import ArtifactError, ConfigError


def edit(path: Path, **values: Any) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | values))


def pickled(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save({"x": torch.ones(1)}, folder / "pytorch_model.bin")
    weights.unlink()


def own_code(folder: Path) -> None:
    edit(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "code.MyConfig"})
    (folder / "code.py").write_text("raise SystemExit('the code of the model was run')\n")


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickles": (pickled, "pytorch_model.bin only: a pickle"),
    "own code": (own_code, r"Python code of its own \(`auto_map` in config.json\)"),
    "own tokenizer code": (
        lambda folder: edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y"]}),
        r"`auto_map` in tokenizer_config.json",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
    "config cut off": (
        lambda folder: (folder / "config.json").write_text('{"a":'),
        "config.json is not whole JSON",
    ),
    "config a list": (
        lambda folder: (folder / "config.json").write_text("[1]"),
        "holds list where keys were wanted",
    ),
    "config binary": (
        lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00"),
        "is not whole JSON",
    ),
    "config gone": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "no type": (
        lambda folder: (folder / "config.json").write_text("{}"),
        "has no `model_type`",
    ),
    "unknown type": (lambda folder: edit(folder / "config.json", model_type="zzz"), "zzz"),
    "heads": (lambda folder: edit(folder / "config.json", num_attention_heads=3), "not a multiple"),
    "no heads": (
        lambda folder: edit(folder / "config.json", num_attention_heads=0),
        "The config of .* cannot be loaded",
    ),
    "a text for a number": (
        lambda folder: edit(folder / "config.json", hidden_size="wide"),
        "expected int, got str",
    ),
    "tokenizer gone": (
        without_tokenizer,
        "The tokenizer of .* cannot be loaded",
    ),
    "tokenizer of another form": (
        lambda folder: (folder / "tokenizer.json").write_text('{"x": 1}'),
        "The tokenizer of .* cannot be loaded: KeyError 'added_tokens'",
    ),
    "tokenizer config a list": (
        lambda folder: (folder / "tokenizer_config.json").write_text("[3]"),
        "holds list where keys were wanted",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_one_paragraph(
    damage: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: Any) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", asked)
    do, message = DAMAGE[damage]
    do(tiny_folder)
    with pytest.raises(ArtifactError, match=message) as caught:
        load_backbone(BackboneConfig(model=str(tiny_folder)))
    assert len(str(caught.value)) < 700


def test_code_beside_a_model_that_transformers_knows_is_left_alone(tiny_folder: Path) -> None:
    edit(tiny_folder / "config.json", auto_map={"AutoConfig": "code.MyConfig"})
    (tiny_folder / "code.py").write_text("raise SystemExit('the code of the model was run')\n")
    assert load_backbone(BackboneConfig(model=str(tiny_folder))).model.dtype == torch.float32


@pytest.mark.parametrize("name", ["", "x\0y"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ArtifactError, match="is no folder and no name"):
        ModelPlace.find(name, None)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")
    with pytest.raises(ArtifactError, match="is no folder and no name"):
        ModelPlace.find(str(tmp_path / "model"), None)


def test_a_name_on_the_hub_without_a_connection_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(place_module, "_HUB_SECONDS", 0.2)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert not hub_is_reachable()
    started = time.monotonic()
    with pytest.raises(ArtifactError, match="hub cannot be reached, and no earlier download"):
        load_backbone(BackboneConfig(model="nobody/no-such-model"))
    assert time.monotonic() - started < 5


def test_a_missing_package_is_a_config_error(tiny_folder: Path) -> None:
    place = ModelPlace.find(str(tiny_folder), None)
    with (
        pytest.raises(ConfigError, match="flash is not here. Install the package"),
        place.reading("model"),
    ):
        raise ImportError("flash is not here.")


def test_what_is_whole_is_read(tiny_folder: Path) -> None:
    place = ModelPlace.find(str(tiny_folder), "ignored for folders")
    assert place.read(AutoConfig, "config").hidden_size == 16
    assert place.read(AutoTokenizer, "tokenizer").is_fast


def test_a_long_story_is_cut() -> None:
    assert short(ValueError("a\nb\n\nc")) == "a b"
    assert len(short(ValueError("word " * 1000))) < 410
    assert short(KeyError("x")) == "KeyError 'x'"
