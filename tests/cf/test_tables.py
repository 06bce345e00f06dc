import numpy as np
import pytest
import torch

from corarec.cf.mf import MF, MFConfig
from corarec.cf.tables import known_ids
from corarec.errors import DataError


def test_ids_beyond_the_table_are_unknown() -> None:
    assert known_ids(np.array([0, 3, 4, 99]), size=4).tolist() == [0, 3, 0, 0]


def test_negative_ids_are_an_error() -> None:
    with pytest.raises(DataError, match="Row 1 has the id -2; ids count from 1"):
        known_ids(np.array([1, -2]), size=4)


def test_no_pairs_are_no_error() -> None:
    assert known_ids(np.zeros(0, dtype=np.int64), size=4).tolist() == []


def test_tables_must_be_float32_matrices_of_one_width() -> None:
    model = MF(MFConfig())
    with pytest.raises(ValueError, match="user vectors have 2 numbers, items 3"):
        model.set_tables(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="float32 matrix was wanted, not torch.float64 2-d"):
        model.set_tables(torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, 2))
