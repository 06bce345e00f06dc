"""General ability of runs, before and after: what acts in which text, and that off is off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from corarec.ability import measure
from corarec.ability.files import read_tasks, read_texts
from corarec.ability.keep import check_output, keep
from corarec.ability.measure import measure_ability
from corarec.ability.measured import Measurements
from corarec.ability.reading import follow
from corarec.ability.result import UNTOUCHED, AbilityTable
from corarec.ability.wanted import Wanted
from corarec.errors import ConfigError, DataError
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.recipe import RunConfig
from corarec.runs.pack import pack_run
from corarec.train import train_run

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def make_run(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Train a system for a few large steps, so that what it learned shows."""
    folder = tmp_path_factory.mktemp("runs")

    def make(name: str, system: dict[str, Any], **backbone: Any) -> Path:
        if not (folder / name).exists():
            changed = dict(recipe)
            changed["system"] = {
                "backbone": recipe["system"]["backbone"] | backbone,
                **system,
            }
            changed["train"] = recipe["train"] | {"learning_rate": 0.1, "warmup_steps": 0}
            if system["name"] in ("tallrec", "personprompt"):
                del changed["cf"]
            if system["name"] == "binllm":
                options = {"embedding_size": 8, "max_epochs": 2}
                changed["cf"] = {"model": "binary-mf", "options": options}
            train_run(RunConfig.parse(changed, "the test"), folder / name)
        return folder / name

    return make


FEATURES = {"template": "{history} by {user}: {item} {title}? Answer:"}
CORA = {"name": "cora", "rank": 2}


@pytest.fixture
def wanted(questions: Path, tmp_path: Path) -> Wanted:
    (tmp_path / "held.txt").write_text("The sea is near.\n\nA lamp is on the table.\n")
    tasks = [task for task in read_tasks([questions], 2, 0) if task.name != "summary"]
    texts = read_texts([str(tmp_path / "held.txt")], None, 0)
    bootstrap = BootstrapConfig(draws=20)
    return Wanted(tasks, texts, 2, (), limit=2, bootstrap=bootstrap)


def value(table: AbilityTable, state: str, task: str, measure: str) -> float:
    found = table.finding(state, task, measure)
    assert found is not None
    return found.estimate.value


@pytest.fixture(scope="module")
def pair_of(make_run: MakeRun) -> tuple[Path, Path]:
    return make_run("tallrec", {"name": "tallrec"}), make_run("cora", CORA)


def test_a_lora_moves_general_text_and_cora_does_not_until_a_pair_is_named(
    pair_of: tuple[Path, Path], wanted: Wanted, tmp_path: Path
) -> None:
    wanted = Wanted(**{**vars(wanted), "users": ("7",), "item": "5"})
    table, measured = measure_ability(pair_of, wanted)
    pair = "cora, increment of user 7 and item 5"
    assert [state.name for state in table.states] == [UNTOUCHED, "tallrec", "cora", pair]
    assert [state.bit_identical for state in table.states] == [True, False, True, False]
    assert [state.what for state in table.states] == [
        "nothing",
        "its LoRA",
        "nothing: CoRA is off",
        "the increment of user 7 and item 5",
    ]
    for task in ("choice", "facts", "prompts"):
        for state in (UNTOUCHED, "cora"):
            assert value(table, state, task, "same greedy answer") == 1.0
            assert value(table, state, task, "log-probability moved") == 0.0
        for state in ("tallrec", pair):
            assert value(table, state, task, "log-probability moved") > 1e-4
    # To the last bit: every value of every example.
    for key, values in measured["cora"].values.items():
        origin = measured[UNTOUCHED].values[key]
        assert values.values.tolist() == origin.values.tolist()
        assert values.answers == origin.answers
    bits = [value(table, state.name, "held", "bits per byte") for state in table.states]
    assert bits[0] == bits[2]
    assert len(set(bits)) == 3
    assert all(test.difference.p_value == 1.0 for test in table.tests if test.name == "cora")
    assert not [test for test in table.tests if test.measure == "same greedy answer"]
    _kept(table, measured, tmp_path)


def _kept(table: AbilityTable, measured: Measurements, tmp_path: Path) -> None:
    keep(table, measured, "a page\n", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".corarec.json", "results.json", "results.md", "examples.parquet"}
    read = json.loads((tmp_path / "out" / "results.json").read_text())
    assert AbilityTable.model_validate(read) == table
    assert read["provenance"]["versions"]["lm_eval"]
    examples = pl.read_parquet(tmp_path / "out" / "examples.parquet")
    mean = examples.filter(state="tallrec", task="choice", measure="log-probability moved")
    assert mean["value"].mean() == pytest.approx(
        value(table, "tallrec", "choice", "log-probability moved")
    )
    assert set(examples["state"]) == {state.name for state in table.states}
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="did not write: mine.txt"):
        check_output(tmp_path / "out", [])


@pytest.mark.parametrize(
    ("system", "identical"),
    [
        ({"name": "personprompt", "prompt": FEATURES}, True),
        ({"name": "collm", "prompt": FEATURES}, False),
        ({"name": "binllm", "prompt": FEATURES}, False),
        ({**CORA, "activation": "title"}, True),
    ],
    ids=["personprompt", "collm", "binllm", "cora-late"],
)
def test_every_kind_of_system_is_served_as_it_serves_general_text(
    system: dict[str, Any], identical: bool, make_run: MakeRun, wanted: Wanted
) -> None:
    name = f"{system['name']}-kind"
    table, _ = measure_ability([make_run(name, system)], wanted)
    assert table.states[1].bit_identical is identical
    repeated = [
        value(table, state, "description", "repetition, bits per byte")
        for state in (UNTOUCHED, name)
    ]
    # Marks of user and item stand in the description, or the weights are others.
    assert (repeated[0] == repeated[1]) == (system["name"] == "cora")


@pytest.mark.parametrize(
    ("model_type", "sizes"),
    [
        ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}),
        ("GPTNeoX", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
        ("Qwen3", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
        ("Gemma2", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}),
    ],
)
def test_off_is_bit_identical_on_other_architectures(
    model_type: str,
    sizes: dict[str, int],
    make_run: MakeRun,
    wanted: Wanted,
    tiny_tokenizer: Any,
    tmp_path: Path,
) -> None:
    import transformers

    common = {"intermediate_size": 48, "head_dim": 8, "num_key_value_heads": 2}
    extra = common if model_type in ("Qwen3", "Gemma2") else {}
    if model_type == "GPTNeoX":
        extra = {"intermediate_size": 48, "max_position_embeddings": 512}
    config = getattr(transformers, f"{model_type}Config")(
        vocab_size=len(tiny_tokenizer), **sizes, **extra
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    run = make_run(f"cora-{model_type}", CORA, model=str(tmp_path / "model"))
    few = Wanted(wanted.tasks[:1], wanted.texts, 0, ("7",), bootstrap=wanted.bootstrap)
    table, _ = measure_ability([run], few)
    assert [state.bit_identical for state in table.states] == [True, True, False]


def test_low_precision_is_compared_like_with_like(make_run: MakeRun, wanted: Wanted) -> None:
    run = make_run("cora-bf16", CORA, dtype="bfloat16")
    table, _ = measure_ability([run], wanted)
    assert [state.bit_identical for state in table.states] == [True, True]
    for state in table.states:
        assert value(table, state.name, "choice", "same greedy answer") == 1.0


def test_compiled_blocks_run_as_they_are_written(
    pair_of: tuple[Path, Path], wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    stances: list[str] = []
    plain = follow

    def look(*arguments: Any) -> Any:
        stances.append(torch._dynamo.eval_frame._stance.stance)
        return plain(*arguments)

    monkeypatch.setattr(measure, "follow", look)
    few = Wanted(wanted.tasks[:1], [], 0, (), bootstrap=wanted.bootstrap)
    measure_ability(pair_of[1:], few)
    assert stances == ["force_eager", "force_eager"]
    assert torch._dynamo.eval_frame._stance.stance == "default"


def test_runs_on_different_models_and_of_one_name_are_refused(
    pair_of: tuple[Path, Path], make_run: MakeRun, wanted: Wanted
) -> None:
    few = Wanted([], wanted.texts, 0, (), bootstrap=wanted.bootstrap)
    other = make_run("random", {"name": "tallrec"}, random_weights=True, seed=4)
    with pytest.raises(ConfigError, match="The run random stands on .* before and after"):
        measure_ability([pair_of[0], other], few)
    with pytest.raises(ConfigError, match="'tallrec' is taken twice"):
        measure_ability([pair_of[0], pair_of[0]], few)
    with pytest.raises(ConfigError, match="nothing to measure"):
        Wanted([], [], 0, ())


def test_users_are_for_systems_that_give_them_weights(
    pair_of: tuple[Path, Path], make_run: MakeRun, wanted: Wanted
) -> None:
    few: dict[str, Any] = {
        "tasks": [],
        "texts": wanted.texts,
        "repeats": 0,
        "bootstrap": wanted.bootstrap,
    }
    with pytest.raises(ConfigError, match="No run here gives weights .*TALLRec"):
        measure_ability(pair_of[:1], Wanted(**few, users=("7",)))
    table, _ = measure_ability(pair_of, Wanted(**few, users=("7",)))
    assert table.states[-1].name == "cora, increment of user 7"
    assert any("tallrec: TALLRecRecommender gives no weights" in note for note in table.notes)
    for users, item, message in (
        (("nobody",), None, "no user 'nobody'"),
        (("7",), "x", "item 'x'"),
    ):
        with pytest.raises(DataError, match=message):
            measure_ability(pair_of[1:], Wanted(**few, users=users, item=item))


def test_a_run_without_users_repeats_nothing_and_an_archive_says_to_unpack(
    pair_of: tuple[Path, Path], wanted: Wanted, small_world_path: Path, tmp_path: Path
) -> None:
    few = Wanted([], wanted.texts, 2, (), bootstrap=wanted.bootstrap)
    pack_run(pair_of[1], tmp_path / "p.zip", data=small_world_path, without_users=True)
    table, _ = measure_ability([tmp_path / "p.zip"], few)
    assert "No description is repeated" in table.notes[0]
    assert [task.kind for task in table.tasks] == ["text"]
    pack_run(pair_of[1], tmp_path / "q.zip", data=small_world_path, include_backbone=True)
    with pytest.raises(ConfigError, match="lies in its archive. Unpack"):
        measure_ability([tmp_path / "q.zip"], few)


def test_measuring_leaves_the_run_as_it_was(pair_of: tuple[Path, Path], wanted: Wanted) -> None:
    def look() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes() for path in sorted(pair_of[1].rglob("*")) if path.is_file()
        }

    before = look()
    measure_ability(pair_of[1:], wanted)
    assert look() == before
