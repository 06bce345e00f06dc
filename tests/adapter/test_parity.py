import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

REFERENCE = Path(__file__).parent / "data" / "cora_reference.safetensors"
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "parity.py"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equals_the_authors_code(parity: ModuleType) -> None:
    differences = parity.compare(REFERENCE)
    assert {"io.A", "io.logits_last", "io.loss", "grad.generator.queries"} <= differences.keys()
    assert sum(name.startswith("grad.") for name in differences) == 5
    assert max(differences.values()) < parity.TOLERANCE


def test_exit_status_tells_a_difference(
    parity: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parity.main([str(REFERENCE)]) == 0
    with safe_open(REFERENCE, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors["io.loss"] = tensors["io.loss"] * 1.001
    tensors["grad.generator.queries"][0, 0, 0] = torch.nan
    save_file(tensors, tmp_path / "other.safetensors", metadata)
    capsys.readouterr()
    assert parity.main([str(tmp_path / "other.safetensors")]) == 1
    wrong = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "not" in line]
    assert wrong == ["loss", "grad.generator.queries"]
