import hashlib
from pathlib import Path

import pytest

from corarec.data.sources.base import joined
from corarec.data.sources.table import Table
from corarec.errors import ConfigError


def test_a_source_of_files_asks_where_they_are() -> None:
    with pytest.raises(ConfigError, match="say where they are with --input PATH"):
        Table().load(None)


def test_every_file_that_was_read_has_a_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("user,item,rating,timestamp,title\n1,2,5,10,Stone\n")
    raw, fingerprints = Table(title_column="title").load(file)
    assert fingerprints == {"rows.csv": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert raw.interactions.collect().height == 1


def test_several_files_are_named_together(tmp_path: Path) -> None:
    assert joined(["a.csv", "b.csv"], tmp_path) == tmp_path / "a.csv + b.csv"
