import json
from pathlib import Path

import pytest

from corarec.cf.identity import IDENTITY_FILE
from corarec.cf.registry import CF_MODELS, load_cf
from corarec.errors import ArtifactError


def test_names_in_the_registry_are_those_of_the_classes() -> None:
    assert [kind.name for kind in CF_MODELS.values()] == list(CF_MODELS)


def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / IDENTITY_FILE).write_text(json.dumps({"model": "svd", "config": {}}))
    with pytest.raises(ArtifactError, match="holds a CF model 'svd', but .* knows mf, mf-b"):
        load_cf(tmp_path)
