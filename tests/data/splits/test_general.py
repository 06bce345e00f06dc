from collections.abc import Callable

import pytest

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.temporal import Temporal
from corarec.errors import DataError

MakeRaw = Callable[..., RawData]


def test_untitled_items_are_refused_or_dropped(make_raw: MakeRaw) -> None:
    rows = [("u", f"i{n}", 5.0, n) for n in range(12)]
    raw = make_raw(rows, titles={f"i{n}": "T" if n > 1 else "" for n in range(12)})
    with pytest.raises(DataError, match="no title for item 'i0'.*nor for 1 other.*--untitled drop"):
        Temporal().apply(raw, LabelConfig())
    result = Temporal(untitled="drop").apply(raw, LabelConfig())
    assert len(result.rows) == 10
    assert result.notes == ("2 interactions with untitled items left out",)


def test_the_threshold_is_four_unless_given(make_raw: MakeRaw) -> None:
    raw = make_raw([("u", f"i{n}", float(n), n) for n in range(6)])
    assert Temporal().apply(raw, LabelConfig()).rows["label"].to_list() == [0, 0, 0, 0, 1, 1]
    low = Temporal().apply(raw, LabelConfig(threshold=1.5))
    assert low.rows["label"].to_list() == [0, 0, 1, 1, 1, 1]
    assert low.labels == "positive where the rating is at least 1.5"
