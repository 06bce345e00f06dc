"""The weights of a pair of a run, as a LoRA that runs without this package."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file

from corarec.errors import ConfigError, DataError
from corarec.recipe import RunConfig
from corarec.recommenders.llm import PromptRecommender
from corarec.runs import Run, load_run
from corarec.runs.lora import BUNDLED_NAME
from corarec.runs.pack import pack_run
from corarec.train import train_run

TITLE = "The New Thing (2031)"


@pytest.fixture(scope="module")
def run(trained_run: Path) -> Run:
    opened = load_run(trained_run)
    for name, parameter in opened.recommender.model.named_parameters():
        if "cora_projection" in name:
            rng = torch.Generator().manual_seed(parameter.numel())
            parameter.data.normal_(generator=rng)
    return opened


def answer(run: Run, folder: Path, prompt: str) -> float:
    """Return the logit that the plain model with the LoRA gives to the positive answer."""
    model = AutoPeftModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    assert isinstance(run.recommender, PromptRecommender)
    ids = run.recommender.encoder.tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, -1]
    return float(logits[run.recommender.answers.yes])


def test_a_plain_model_with_the_lora_answers_like_the_run(run: Run, tmp_path: Path) -> None:
    written = run.export_lora(tmp_path / "known", "7", "5")
    assert (written.user_known, written.item_known) == (True, True)
    assert written.dtype == "float32"
    assert written.prompt is not None
    context = run.directory.known(run.directory.user("7"))
    wanted = run.scorer.score_items(context, np.array([run.directory.item_numbered("5")]))[0]
    assert answer(run, written.output, written.prompt) == pytest.approx(wanted, abs=1e-5)
    there = {path.name for path in written.output.iterdir()}
    assert there == {"adapter_config.json", "adapter_model.safetensors", ".corarec.json"}
    config = json.loads((written.output / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == written.base_model
    assert Path(written.base_model).is_dir()

    new = run.export_lora(tmp_path / "new", "7", title=TITLE)
    assert (new.user_known, new.item_known) == (True, False)
    assert new.prompt is not None
    assert TITLE in new.prompt
    item = np.array([run.knowledge.catalogue.num_items + 1])
    wanted = run.scorer.score_items(context, item, new_titles=[TITLE])[0]
    assert answer(run, new.output, new.prompt) == pytest.approx(wanted, abs=1e-5)


def test_the_weights_of_a_user_alone_are_those_for_an_item_that_cf_does_not_know(
    run: Run, tmp_path: Path
) -> None:
    files = {}
    for name, item in (("user", {}), ("title", {"title": TITLE}), ("pair", {"item": "5"})):
        written = run.export_lora(tmp_path / name, 7, **item)
        files[name] = load_file(written.output / "adapter_model.safetensors")
        assert (written.prompt is None) == (name == "user")
    downs = [key for key in files["user"] if "lora_A" in key]
    assert downs
    for key in downs:
        assert torch.equal(files["user"][key], files["title"][key])
        assert not torch.equal(files["user"][key], files["pair"][key])


def test_nobody_can_be_read_from_the_files_by_name(run: Run, tmp_path: Path) -> None:
    written = run.export_lora(tmp_path / "lora", "7", "5")
    context = run.directory.known(run.directory.user("7"))
    titles = [run.knowledge.catalogue.titles[item] for item in context.liked]
    for path in written.output.iterdir():
        content = path.read_bytes()
        assert not [title for title in titles if title.encode() in content]


def test_only_what_an_export_wrote_is_replaced(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "lora"
    run.export_lora(output, "7", "5")
    first = (output / "adapter_model.safetensors").read_bytes()
    run.export_lora(output, "8", "5")
    assert (output / "adapter_model.safetensors").read_bytes() != first
    (output / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="files that corarec did not write: mine.txt"):
        run.export_lora(output, "7", "5")
    with pytest.raises(ConfigError, match="lies inside the run"):
        run.export_lora(run.folder / "lora", "7")
    with pytest.raises(ConfigError, match="would overwrite the input"):
        run.export_lora(run.folder.parent, "7")
    with pytest.raises(ConfigError, match=r"\(weights, not LoRA of a pair\)"):
        shutil.copytree(run.folder / "best", tmp_path / "best")
        run.export_lora(tmp_path / "best", "7")
    assert {path.name for path in tmp_path.iterdir()} == {"lora", "best"}


def test_strangers_and_unknown_items_are_errors(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no user 'nobody'"):
        run.export_lora(tmp_path / "lora", "nobody")
    with pytest.raises(DataError, match="There is no item 'x9' among the 50"):
        run.export_lora(tmp_path / "lora", "7", "x9")
    with pytest.raises(DataError, match="either an item of the dataset or the title"):
        run.export_lora(tmp_path / "lora", "7", "5", title=TITLE)
    with pytest.raises(DataError, match="title of the new item is empty"):
        run.export_lora(tmp_path / "lora", "7", title=" ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"name": "cora", "activation": "title"}, "has late activation .* acts on every token"),
        ({"name": "tallrec"}, "one LoRA for all users and items.* best/ of its run holds it"),
        ({"name": "personprompt"}, "gives no weights to users and items"),
    ],
)
def test_what_has_no_plain_lora_of_a_pair_says_why(
    system: dict[str, Any],
    message: str,
    recipe: dict[str, Any],
    tiny_backbone: Path,
    tmp_path: Path,
) -> None:
    system = {**system, "backbone": {"model": str(tiny_backbone)}}
    if system["name"] == "personprompt":
        system["prompt"] = {"template": "{user} {item} {history} {title}"}
    changed = {**recipe, "system": system}
    if system["name"] != "cora":
        del changed["cf"]
    train_run(RunConfig.parse(changed, "the test"), tmp_path / "run")
    with pytest.raises(ConfigError, match=message):
        load_run(tmp_path / "run").export_lora(tmp_path / "lora", "7", "5")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_frozen_model_must_stand_somewhere(
    run: Run, trained_run: Path, small_world_path: Path, tmp_path: Path
) -> None:
    def on(**changes: Any) -> Run:
        system = run.config.system
        backbone = system.backbone.model_copy(update=changes)
        config = run.config.model_copy(
            update={"system": system.model_copy(update={"backbone": backbone})}
        )
        return Run(run.folder, run.parts._replace(config=config), run.identity)

    with pytest.raises(ConfigError, match="has random weights"):
        on(random_weights=True).export_lora(tmp_path / "lora", "7")
    named = on(model="someone/a-model", revision="v2").export_lora(tmp_path / "lora", "7")
    config = json.loads((named.output / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/a-model", "v2")
    bundled = on(model=BUNDLED_NAME).export_lora(tmp_path / "bundled", "7")
    assert (Path(bundled.base_model) / "config.json").is_file()
    archive = tmp_path / "run.zip"
    pack_run(trained_run, archive, data=small_world_path, include_backbone=True)
    with pytest.raises(ConfigError, match="lies in its archive.*Unpack"):
        load_run(archive).export_lora(tmp_path / "packed", "7")
