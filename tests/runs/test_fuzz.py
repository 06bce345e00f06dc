"""Whatever happens to the files of a run, it opens or says what is wrong, and writes nothing.

`CORAREC_FUZZ_CASES=10000 pytest tests/runs/test_fuzz.py --timeout 0` looks for longer.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corarec.backbone import Backbone, load_backbone
from corarec.errors import CorarecError
from corarec.recommenders import registry
from corarec.runs.open import open_run

CASES = int(os.environ.get("CORAREC_FUZZ_CASES", "40"))

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["..", "/", "a" * 300, "\0", "2001-99-99", "bundled", "cora", "als"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module", autouse=True)
def quick_backbone() -> Iterator[None]:
    """Load each language model once: what is looked at here are the files of the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "load_backbone", _load)
        yield


def _load(config: Any, **options: Any) -> Backbone:
    if config.model == "bundled" or config.device_map:
        raise CorarecError("a model that takes long is not loaded in these tests")
    return load_backbone(config, **options)


def files_of(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file())


def truncate(data: st.DataObject, path: Path, home: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, max(0, len(content) - 1)))])


def flip(data: st.DataObject, path: Path, home: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)):
        if content:
            content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))


def overwrite(data: st.DataObject, path: Path, home: Path) -> None:
    path.write_bytes(data.draw(st.binary(max_size=200)))


def swap(data: st.DataObject, path: Path, home: Path) -> None:
    other = data.draw(st.sampled_from(files_of(home)))
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def delete(data: st.DataObject, path: Path, home: Path) -> None:
    path.unlink()


def make_folder(data: st.DataObject, path: Path, home: Path) -> None:
    path.unlink()
    path.mkdir()


def delete_folder(data: st.DataObject, path: Path, home: Path) -> None:
    if path.parent != home:
        shutil.rmtree(path.parent)


def change_value(data: st.DataObject, path: Path, home: Path) -> None:
    """Replace one value, anywhere in a JSON or YAML file, by another."""
    if path.suffix not in (".json", ".yaml"):
        return flip(data, path, home)
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        return None
    node: Any = content
    while isinstance(node, dict) and node:
        key = data.draw(st.sampled_from(sorted(node, key=str)))
        if not isinstance(node[key], dict) or data.draw(st.booleans()):
            if data.draw(st.booleans()):
                node[key] = data.draw(values)
            else:
                del node[key]
            break
        node = node[key]
    else:
        content = data.draw(values)
    dump = json.dumps if path.suffix == ".json" else yaml.safe_dump
    path.write_text(dump(content), "utf-8", errors="replace")
    return None


MUTATIONS = [truncate, flip, overwrite, swap, delete, make_folder, delete_folder, change_value]


@settings(
    max_examples=CASES,
    deadline=None,
    derandomize="CORAREC_FUZZ_CASES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_spoiled_run_opens_or_says_why_not(
    home: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    # One place for all cases: the length of its name is in the files, and cases must repeat.
    folder = tmp_path_factory.getbasetemp() / "spoiled" / "home"
    try:
        shutil.copytree(home, folder)
        config = folder / "run" / "config.yaml"
        config.write_text(config.read_text().replace(str(home), str(folder)))
        for _ in range(data.draw(st.integers(1, 2))):
            path = data.draw(st.sampled_from(files_of(folder)))
            data.draw(st.sampled_from(MUTATIONS))(data, path, folder)
        before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
        with suppress(CorarecError):
            parts = open_run(folder / "run")
            assert parts.splits is not None
            assert len(parts.splits) == 1200
            assert parts.recommender.trainable_parameters() > 0
        assert {p: p.is_file() and p.read_bytes() for p in folder.rglob("*")} == before
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)
