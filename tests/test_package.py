import subprocess
import sys

import pytest

import corarec


@pytest.mark.parametrize("name", corarec.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(corarec, name).__module__.startswith("corarec.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'recomend'"):
        corarec.recomend  # noqa: B018


def test_importing_the_package_imports_neither_torch_nor_transformers() -> None:
    heavy = "'torch' in sys.modules or 'transformers' in sys.modules"
    code = f"import corarec, corarec.cli, sys; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
