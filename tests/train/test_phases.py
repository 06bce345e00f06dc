"""Phases: a system of two parameter groups, trained one after the other, killed and resumed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from corarec.errors import ArtifactError, ConfigError
from corarec.prompts.templates import CORA_TEMPLATE
from corarec.recipe import RunConfig, load_recipe, write_config
from corarec.recipe.phases import plan_phases
from corarec.recommenders import RECOMMENDERS
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.tallrec import TALLRecRecommender, TALLRecSystem
from corarec.runs.open import open_run
from corarec.train import run as running
from corarec.train import train_run
from corarec.train.doctor import diagnose
from corarec.train.metrics import read_metrics
from corarec.train.start import load_start
from corarec.train.trainer import RecommenderTrainer

TEMPLATE = "{history} and now {title}? \n#Answer:"
ADAPTER, HEAD = "adapter_model.safetensors", "head.safetensors"
PHASES: list[dict[str, Any]] = [
    {"name": "text", "parameters": ["lora"], "steps": 6, "learning_rate": 0.01},
    {"name": "head", "parameters": ["head"], "prompt": {"template": TEMPLATE}, "batch_size": 4},
]


class TwoGroups(TALLRecRecommender):
    """A LoRA and a head with dropout behind it, beside a frozen model."""

    head: nn.Module

    @classmethod
    def build(cls, config: Any, ingredients: Any) -> "TwoGroups":
        system = super().build(config, ingredients)
        system.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(1, 1))
        return system

    def own_modules(self) -> dict[str, nn.Module]:
        return {"head": self.head}

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        plain = super().logits(**batch)
        moved: torch.Tensor = plain + self.head(plain[:, None])[:, 0]
        return moved


@pytest.fixture(autouse=True)
def two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECOMMENDERS.built_in, "tallrec", TwoGroups)
    monkeypatch.setattr(TALLRecSystem, "parameter_groups", ("lora", "head"))


def make(recipe: dict[str, Any], phases: list[dict[str, Any]] | None = None, **train: Any) -> Any:
    values = {**recipe["train"], "steps": 4, "validate_every": 2, "validation_rows": 30, **train}
    system = {"name": "tallrec", "backbone": recipe["system"]["backbone"], "rank": 2}
    values["phases"] = PHASES if phases is None else phases
    return RunConfig.parse({"data": recipe["data"], "system": system, "train": values}, "recipe")


@pytest.fixture(scope="module")
def straight(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of two phases that nobody disturbed."""
    folder = tmp_path_factory.mktemp("phases") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECOMMENDERS.built_in, "tallrec", TwoGroups)
        patch.setattr(TALLRecSystem, "parameter_groups", ("lora", "head"))
        train_run(make(recipe), folder)
    return folder


def content(run: Path) -> dict[str, Any]:
    """Return every file of a run, without seconds and what follows from them."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in run.rglob("*") if p.is_file()):
        name = path.relative_to(run).as_posix()
        if path.suffix == ".safetensors" or path.name in ("backbone.json", "adapter_config.json"):
            found[name] = path.read_bytes()
        else:
            found[name] = None
    records = read_metrics(run)
    return found | {"": [{k: v for k, v in r.items() if k != "seconds"} for r in records]}


def test_each_phase_trains_its_own_group_and_leaves_the_other_bit_for_bit(
    straight: Path, recipe: dict[str, Any]
) -> None:
    first, last = straight / "phases" / "1-text", straight / "phases" / "2-head"
    assert sorted(p.name for p in straight.iterdir()) == [
        *["best", "config.yaml", "data.json", "metrics.jsonl", "phases", "training.json"]
    ]
    assert sorted(p.name for p in first.iterdir()) == ["best", "checkpoints"]
    assert sorted(p.name for p in last.iterdir()) == ["checkpoints"]
    lora = [load_file(place / "best" / ADAPTER) for place in (first, straight)]
    assert all(torch.equal(lora[0][name], lora[1][name]) for name in lora[0])
    trained = last / "checkpoints" / "checkpoint-4"
    kept = load_file(trained / ADAPTER)
    assert all(torch.equal(lora[0][name], kept[name]) for name in lora[0])
    head = [load_file(place / HEAD) for place in (first / "best", trained)]
    assert not torch.equal(head[0]["1.weight"], head[1]["1.weight"])
    optimizer = torch.load(trained / "optimizer.pt", weights_only=True)
    assert len(optimizer["state"]) == 2  # weight and bias of the head
    assert any(tensor.abs().sum() > 0 for name, tensor in lora[0].items() if "lora_B" in name)
    groups = [
        json.loads((p / "best" / "backbone.json").read_text())["groups"] for p in (first, straight)
    ]
    assert groups == [["lora"], ["head", "lora"]]


def test_metrics_count_steps_within_a_phase(straight: Path, recipe: dict[str, Any]) -> None:
    records = read_metrics(straight)
    seen = [(r["phase"], r["step"]) for r in records if "valid_auc" in r]
    assert seen == [("text", 2), ("text", 4), ("text", 6), ("head", 2), ("head", 4)]
    assert [r["seconds"] for r in records] == sorted(r["seconds"] for r in records)
    rates = [r["learning_rate"] for r in records if r["phase"] == "text" and "learning_rate" in r]
    assert max(rates) > 0.001  # its own course


def test_the_prompt_of_the_last_phase_is_that_of_the_run(straight: Path) -> None:
    parts = open_run(straight)
    recommender, dataset = parts.recommender, parts.splits
    assert dataset is not None
    assert isinstance(recommender, PromptRecommender)
    (prompt,) = recommender.encoder.render(dataset.pairs("valid").take(np.arange(1)))
    assert prompt.endswith("? \n#Answer:")
    assert " and now " in prompt
    weights = load_file(straight / "best" / HEAD)
    assert torch.equal(
        recommender.own_modules()["head"].state_dict()["1.weight"], weights["1.weight"]
    )


class Killed(BaseException):
    """Nothing catches it."""


def kill_in(patch: pytest.MonkeyPatch, name: str, phase: int, step: int) -> None:
    """Make a training end when it enters a method in a phase at or after a step."""
    if name == "load_start":

        def between(recommender: Any, planned: Any, *rest: Any) -> None:
            if planned.number == phase:
                raise Killed
            load_start(recommender, planned, *rest)

        patch.setattr(running, name, between)
        return
    method = getattr(RecommenderTrainer, name)

    def killed(self: RecommenderTrainer, *args: Any, **kwargs: Any) -> Any:
        if f"phases/{phase}-" in str(self.folder) and self.state.global_step >= step:
            raise Killed
        return method(self, *args, **kwargs)

    patch.setattr(RecommenderTrainer, name, killed)


@pytest.mark.parametrize(
    ("name", "phase", "step"),
    [
        ("training_step", 1, 3),
        pytest.param("_save_checkpoint", 1, 6, marks=pytest.mark.slow),
        ("load_start", 2, 0),
        ("training_step", 2, 1),  # before the first checkpoint of the phase
        pytest.param("_save_rng_state", 2, 2, marks=pytest.mark.slow),
        ("_determine_best_metric", 2, 4),
    ],
)
def test_killed_at_any_moment_it_ends_with_the_same_files(
    recipe: dict[str, Any], straight: Path, tmp_path: Path, name: str, phase: int, step: int
) -> None:
    config = make(recipe)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        kill_in(patch, name, phase, step)
        train_run(config, tmp_path / "run")
    train_run(config, tmp_path / "run")
    assert content(tmp_path / "run") == content(straight)


def test_a_finished_phase_is_never_trained_again(
    recipe: dict[str, Any], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(straight, folder)
    monkeypatch.setattr(TwoGroups, "examples", lambda *_: pytest.fail("trained again"))
    train_run(make(recipe), folder)
    assert content(folder) == content(straight)


def test_only_the_last_phase_can_be_prolonged(
    recipe: dict[str, Any], straight: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(straight, folder)
    with pytest.raises(ConfigError, match=r"run with another train\.phases\.text\.steps"):
        train_run(make(recipe, [{**PHASES[0], "steps": 8}, PHASES[1]]), folder)
    said: list[str] = []
    longer = make(recipe, [PHASES[0], {**PHASES[1], "steps": 6}])
    train_run(longer, folder, say=said.append)
    assert "from step 4 of the phase head with train.phases.head.steps from 4 to 6" in said[0]
    records = read_metrics(folder)
    assert [(r["phase"], r["step"]) for r in records if "valid_auc" in r][-2:] == [
        ("head", 4),
        ("head", 6),
    ]
    with pytest.raises(ConfigError, match=r"train\.phases\.head\.steps is 4: it can be raised"):
        train_run(make(recipe), folder)
    open_run(folder)


def test_a_single_phase_is_the_training_without_phases(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    train_run(make(recipe, []), tmp_path / "plain")
    train_run(make(recipe, [{"name": "all"}]), tmp_path / "phase")
    assert (tmp_path / "plain" / "checkpoints").is_dir()
    assert not (tmp_path / "plain" / "phases").exists()
    for name in (ADAPTER, HEAD):
        plain, phase = ((tmp_path / run / "best" / name).read_bytes() for run in ("plain", "phase"))
        assert plain == phase


def test_a_phase_may_go_back_to_an_earlier_one(recipe: dict[str, Any], tmp_path: Path) -> None:
    third = {"name": "again", "parameters": ["lora"], "init_from": "text", "learning_rate": 1e-4}
    train_run(make(recipe, [*PHASES, third], steps=2), tmp_path / "run")
    text = load_file(tmp_path / "run" / "phases" / "1-text" / "best" / HEAD)
    assert torch.equal(load_file(tmp_path / "run" / "best" / HEAD)["1.weight"], text["1.weight"])


@pytest.fixture
def tallrec(recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run of TALLRec itself."""
    with monkeypatch.context() as patch:
        patch.setitem(RECOMMENDERS.built_in, "tallrec", TALLRecRecommender)
        patch.setattr(TALLRecSystem, "parameter_groups", ("lora",))
        train_run(make(recipe, [], learning_rate=0.01), tmp_path / "tallrec")
    return tmp_path / "tallrec"


def test_another_runs_weights_are_a_start_and_stay_in_the_run(
    recipe: dict[str, Any], tallrec: Path, tmp_path: Path
) -> None:
    only = {**PHASES[1], "init_from": str(tallrec)}
    said: list[str] = []
    run = tmp_path / "run"
    train_run(make(recipe, [only]), run, say=said.append)
    assert f"The phase head starts from lora of {tallrec}." in said[0]
    source = load_file(tallrec / "best" / ADAPTER)
    kept = load_file(run / "best" / ADAPTER)
    assert all(torch.equal(source[name], kept[name]) for name in source)
    shutil.rmtree(tallrec)
    train_run(make(recipe, [{**only, "steps": 6}]), run)
    open_run(run)


def test_another_run_that_does_not_fit_is_refused(
    recipe: dict[str, Any], tallrec: Path, tmp_path: Path
) -> None:
    config = make(recipe, [{**PHASES[1], "init_from": str(tallrec)}])

    def with_system(**changes: Any) -> RunConfig:
        system = config.system.model_dump() | changes
        return RunConfig.parse({**config.model_dump(), "system": system}, "recipe")

    with pytest.raises(ArtifactError, match=r"has r 2, but this system's has 3.*Set the system's"):
        train_run(with_system(rank=3), tmp_path / "rank")
    with pytest.raises(ArtifactError, match="lora_alpha 16, but this system's has 4"):
        train_run(with_system(alpha=4), tmp_path / "alpha")
    with pytest.raises(ArtifactError, match="of its weights do not fit"):
        train_run(with_system(targets=("q_proj",)), tmp_path / "targets")
    backbone = {**recipe["system"]["backbone"], "random_weights": True, "seed": 3}
    with pytest.raises(ArtifactError, match="was trained on the frozen model"):
        train_run(with_system(backbone=backbone), tmp_path / "backbone")
    with pytest.raises(ArtifactError, match="was trained on the frozen model"):
        diagnose(with_system(backbone=backbone))
    owner = tallrec / "best" / "backbone.json"
    owner.write_text(owner.read_text() + "\n")
    with pytest.raises(ArtifactError, match=r"backbone\.json is missing or damaged"):
        train_run(config, tmp_path / "damaged")


def test_a_run_without_a_common_group_is_no_start(
    recipe: dict[str, Any], trained_run: Path, tmp_path: Path
) -> None:
    config = make(recipe, [{**PHASES[1], "init_from": str(trained_run)}])
    with pytest.raises(
        ArtifactError, match="trained weights of cora, but this system trains lora, head"
    ):
        train_run(config, tmp_path / "run")


def test_a_start_that_is_nowhere_claims_no_folder(recipe: dict[str, Any], tmp_path: Path) -> None:
    config = make(recipe, [PHASES[0], {**PHASES[1], "init_from": "txt"}])
    with pytest.raises(
        ConfigError, match=r"train\.phases\.head\.init_from is 'txt': no earlier phase"
    ):
        train_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ([{"name": "a"}, {"name": "a"}], "two phases are called 'a'"),
        ([{"name": "a", "init_from": "b"}, {"name": "b"}], "'b', which does not come before"),
        ([{"name": "a", "init_from": "a"}], "Earlier phases: none"),
        ([{"name": "a/b"}], "should match pattern"),
        ([{"name": "a", "learning_rate": 1e-5}], "in the phase 'a' final_learning_rate"),
        ([{"name": "a", "stepps": 3}], "Did you mean 'steps'"),
        ([{"name": "a", "parameters": []}], "at least 1 item"),
        (
            [{"name": "a", "parameters": ["lara"]}],
            "the parameter groups of 'tallrec' are lora, head",
        ),
        (
            [{"name": "a", "prompt": {"template": "{title} {user}"}}],
            r"in the phase 'a' .*slots \['us",
        ),
    ],
)
def test_mistakes_in_phases_are_told_before_any_work(
    recipe: dict[str, Any], phases: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        make(recipe, phases)


def test_a_system_that_trains_nothing_has_no_phases(recipe: dict[str, Any]) -> None:
    icl = {"name": "icl", "backbone": recipe["system"]["backbone"]}
    with pytest.raises(ConfigError, match="trains nothing"):
        RunConfig.parse({"data": "d", "system": icl, "train": {"phases": [{"name": "a"}]}}, "r")


def test_what_a_phase_does_not_give_is_taken_from_the_recipe(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    config = make(recipe, weight_decay=0.5)
    text, head = plan_phases(config)
    assert (text.train.steps, head.train.steps) == (6, 4)
    assert (text.train.batch_size, head.train.batch_size) == (8, 4)
    assert head.train.weight_decay == 0.5
    assert text.system.prompt is not None
    assert head.system.prompt is not None
    assert (text.system.prompt.template, head.system.prompt.template) == (CORA_TEMPLATE, TEMPLATE)
    assert head.system.prompt.history_length == 10
    write_config(config, tmp_path / "config.yaml")
    again = load_recipe(tmp_path / "config.yaml")
    assert plan_phases(again) == plan_phases(config)
    more = load_recipe(
        tmp_path / "config.yaml", ["train.phases.head.steps=9", "train.batch_size=5"]
    )
    assert [(p.train.steps, p.train.batch_size) for p in more.phases] == [(6, 5), (9, 4)]
    with pytest.raises(ConfigError, match="names 'haed' in a list that has text, head"):
        load_recipe(tmp_path / "config.yaml", ["train.phases.haed.steps=9"])


def test_a_group_that_the_system_as_configured_has_not(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    RECOMMENDERS.built_in["tallrec"] = TALLRecRecommender
    with pytest.raises(ConfigError, match="no parameters 'head' to train as it is configured"):
        train_run(make(recipe), tmp_path / "run")
    assert not (tmp_path / "run" / "phases").exists()


def test_the_doctor_reports_every_phase(recipe: dict[str, Any]) -> None:
    text, head = diagnose(make(recipe))
    assert (text.phase, text.parameters, text.steps) == ("text", ("lora",), 6)
    assert (head.phase, head.parameters, head.steps, head.trainable) == ("head", ("head",), 4, 2)
    assert text.trainable + text.frozen == head.trainable + head.frozen
    assert " and now " in head.example
    assert "phase              head" in head.lines()
    assert any("2 trained (head)" in line for line in head.lines())


def test_checkpointing_is_a_phases_own(recipe: dict[str, Any], tmp_path: Path) -> None:
    phases = [{**PHASES[0], "gradient_checkpointing": True}, PHASES[1]]
    seen = []
    original = TwoGroups.enable_gradient_checkpointing

    def noted(self: TwoGroups, on: bool = True) -> None:
        original(self, on)
        base = self.model.get_base_model()
        seen.append(any(getattr(m, "gradient_checkpointing", False) for m in base.modules()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwoGroups, "enable_gradient_checkpointing", noted)
        train_run(make(recipe, phases, steps=2), tmp_path / "run")
    assert seen == [True, False]
