from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.temporal import Temporal

MakeRaw = Callable[..., RawData]


def splits(raw: RawData, **options: Any) -> dict[int, str]:
    rows = Temporal(**options).apply(raw, LabelConfig()).rows
    return dict(sorted(zip(rows["timestamp"], rows["split"], strict=True)))


def test_ten_rows_are_cut_eight_one_one(make_raw: MakeRaw) -> None:
    raw = make_raw([(f"u{n % 3}", f"i{n}", 5.0, 9 - n) for n in range(10)])
    assert list(splits(raw).values()) == ["train"] * 8 + ["valid", "test"]


@pytest.mark.parametrize(("valid", "test"), [(0.1, 0.2), (0.2, 0.1), (0.3, 0.3), (0.25, 0.5)])
def test_shares(make_raw: MakeRaw, valid: float, test: float) -> None:
    raw = make_raw([("u", f"i{n}", 5.0, n) for n in range(100)])
    values = list(splits(raw, valid=valid, test=test).values())
    assert (values.count("valid"), values.count("test")) == (100 * valid, 100 * test)


def test_equal_times_stay_together(make_raw: MakeRaw) -> None:
    times = [0, 1, 2, 3, 4, 5, 5, 5, 5, 9]
    raw = make_raw([("u", f"i{n}", 5.0, time) for n, time in enumerate(times)])
    rows = Temporal(valid=0.3, test=0.1).apply(raw, LabelConfig()).rows
    assert rows["split"].to_list() == ["train"] * 5 + ["valid"] * 4 + ["test"]


def test_something_must_be_left_to_train() -> None:
    with pytest.raises(ValidationError, match=r"valid \+ test is 1\.1"):
        Temporal(valid=0.5, test=0.6)


def test_rounding_of_shares_costs_no_part_a_row(make_raw: MakeRaw) -> None:
    # 100 * (1 - 0.05 - 0.15) is a hair below 80 in floating point, as is 100 * (1 - 0.55) of 45.
    raw = make_raw([("u", f"i{n}", 5.0, n) for n in range(100)])
    for valid in range(5, 50, 5):
        for test in (5, 15, 34, 40):
            values = list(splits(raw, valid=valid / 100, test=test / 100).values())
            assert (values.count("valid"), values.count("test")) == (valid, test)
