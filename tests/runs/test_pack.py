import shutil
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from corarec.benchmark.joining import learn_ranking
from corarec.benchmark.runs import evaluate_run
from corarec.errors import ArtifactError, ConfigError, DataError
from corarec.recipe import RunConfig
from corarec.runs import Run, load_run
from corarec.runs.pack import pack_run
from corarec.train import train_run


@pytest.fixture(scope="module")
def packed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive that lies where no dataset is."""
    return pack_run(home / "run", tmp_path_factory.mktemp("elsewhere") / "run.zip").output


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    return load_run(home / "run")


PAIRS = pl.DataFrame({"user": ["7", "1", "a stranger"], "item": ["1", "9", "3"]})


def same_use(first: Run, second: Run) -> bool:
    liked = first.knowledge.catalogue.titles[3:5]
    return (
        first.recommend("7", k=5).equals(second.recommend("7", k=5))
        and first.recommend(liked=liked, k=5).equals(second.recommend(liked=liked, k=5))
        and first.score(PAIRS).equals(second.score(PAIRS))
        and first.score_title("7", "The New One") == second.score_title("7", "The New One")
    )


def test_a_packed_run_works_as_before_without_its_dataset(run: Run, packed: Path) -> None:
    opened = load_run(packed)
    assert opened.parts.splits is None
    assert same_use(run, opened)
    assert repr(opened).startswith(f"Run('{packed}', system='cora', cf='mf-b', Knowledge(")


def test_a_packed_folder_does_so_too(run: Run, home: Path, tmp_path: Path) -> None:
    output = pack_run(home / "run", tmp_path / "packed").output
    assert same_use(run, load_run(output))
    assert sorted(path.name for path in output.iterdir() if path.name[0] != ".") == [
        "best",
        "cf",
        "config.yaml",
        "data.json",
        "knowledge",
        "pack.json",
    ]


def test_the_same_run_gives_the_same_bytes(home: Path, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "copy")
    again = pack_run(tmp_path / "copy" / "run").output
    assert again == tmp_path / "copy" / "run.zip"
    assert again.read_bytes() == packed.read_bytes()
    repacked = pack_run(packed, tmp_path / "again.zip").output
    assert repacked.read_bytes() == packed.read_bytes()


def test_no_place_of_this_machine_is_packed_but_that_of_the_language_model(
    home: Path, packed: Path, tiny_backbone: Path
) -> None:
    with zipfile.ZipFile(packed) as archive:
        for name in archive.namelist():
            assert str(home).encode() not in archive.read(name), name
        config = yaml.safe_load(archive.read("config.yaml"))
    assert config["system"]["backbone"]["model"] == str(tiny_backbone)


def test_what_is_known_of_people_is_counted_and_can_be_left_out(
    run: Run, home: Path, tmp_path: Path
) -> None:
    everything = pack_run(home / "run", tmp_path / "all.zip")
    assert (everything.items, everything.users, everything.rows) == (50, 60, 1200)
    assert everything.liked == int(run.dataset.interactions["label"].sum())
    left_out = pack_run(home / "run", tmp_path / "none.zip", without_users=True)
    assert (left_out.users, left_out.rows, left_out.liked) == (0, 0, 0)
    opened = load_run(left_out.output)
    liked = run.dataset.titles[3:5]
    assert opened.recommend(liked=liked, k=5).equals(run.recommend(liked=liked, k=5))
    with pytest.raises(DataError, match="packed without its users"):
        opened.recommend("7")


def test_how_parts_are_joined_is_packed_too(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "copy")
    joined = learn_ranking(load_run(tmp_path / "copy" / "run"), candidates=4, max_users=5)
    packed = pack_run(tmp_path / "copy" / "run").output
    assert load_run(packed).joined == joined


def test_a_packed_run_is_measured_only_beside_its_dataset(
    home: Path, packed: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"not the splits of its dataset.*--data FOLDER"):
        evaluate_run(load_run(packed), "valid")
    with pytest.raises(ArtifactError, match="Unpack it into a folder"):
        evaluate_run(load_run(packed, home / "world"), "valid")
    shutil.unpack_archive(packed, tmp_path / "folder")
    unpacked = load_run(tmp_path / "folder", home / "world")
    shutil.copytree(home, tmp_path / "copy")
    systems = [
        evaluate_run(each, "valid").systems[0]
        for each in (unpacked, load_run(tmp_path / "copy" / "run"))
    ]
    assert systems[0] == systems[1]


def test_a_language_model_of_ones_own_can_be_packed(
    home: Path, run: Run, tiny_backbone: Path, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "copy")
    model = tmp_path / "model"
    shutil.copytree(tiny_backbone, model)
    config = tmp_path / "copy" / "run" / "config.yaml"
    config.write_text(config.read_text("utf-8").replace(str(tiny_backbone), str(model)), "utf-8")
    (model / "code.py").write_text("raise SystemExit")
    packed = pack_run(tmp_path / "copy" / "run", include_backbone=True)
    assert packed.backbone == "backbone"
    shutil.rmtree(model)
    assert same_use(run, load_run(packed.output))
    with zipfile.ZipFile(packed.output) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".py")]
    again = pack_run(packed.output, tmp_path / "again.zip")  # it cannot do without
    assert same_use(run, load_run(again.output))


def test_a_language_model_that_is_everywhere_is_not_packed(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    system = {"name": "icl"}
    config = RunConfig.parse({**recipe, "cf": None, "system": system}, "recipe")
    train_run(config, tmp_path / "icl")
    with pytest.raises(ConfigError, match="ships with corarec"):
        pack_run(tmp_path / "icl", include_backbone=True)
    packed = pack_run(tmp_path / "icl")
    assert packed.backbone == "bundled"
    assert len(load_run(packed.output).recommend("7", k=2, candidates=3)) == 2


def test_a_control_that_reads_training_rows_is_not_packed(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    system = {**recipe["system"], "vectors": {"shuffle_users": 1}}
    train_run(RunConfig.parse({**recipe, "system": system}, "recipe"), tmp_path / "run")
    with pytest.raises(ConfigError, match="reads rows of the training split"):
        pack_run(tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_nothing_that_stands_there_is_lost(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "copy")
    run = tmp_path / "copy" / "run"
    (tmp_path / "mine.zip").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine.zip already exists.*--overwrite"):
        pack_run(run, tmp_path / "mine.zip")
    for output in (tmp_path / "folder", run, run / "pack", tmp_path / "copy", run / "x.zip"):
        with pytest.raises(ConfigError):
            pack_run(run, output)
    assert (tmp_path / "mine.zip").read_text() == "mine"
    assert (tmp_path / "folder" / "mine").read_text() == "mine"
    load_run(run)
    assert zipfile.is_zipfile(pack_run(run, tmp_path / "mine.zip", overwrite=True).output)


def test_a_damaged_run_is_not_packed(moved: Path, tmp_path: Path) -> None:
    weights = moved / "run" / "best" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="adapter_model"):
        pack_run(moved / "run", tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


@pytest.mark.parametrize("policy", ["snapshot", "streaming"])
def test_a_packed_run_knows_as_much_as_before_under_its_knowledge_policy(
    recipe: dict[str, Any], tmp_path: Path, policy: str
) -> None:
    cf = {"model": "statistics", "options": {"rounds": 5, "bags": 1}}
    values = {**recipe, "cf": cf, "knowledge": policy}
    train_run(RunConfig.parse(values, "recipe"), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.config.knowledge.policy == policy == run.dataset.policy.policy
    evaluate_run(run, "valid")
    opened = load_run(pack_run(tmp_path / "run").output)
    assert opened.parts.splits is None
    assert same_use(run, opened)
    assert (opened.knowledge.timeline.times is not None) == (policy == "streaming")
