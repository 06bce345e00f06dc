import pytest
import torch

from corarec.cf.factors.mf import MF, MFConfig


def test_tables_must_be_float32_matrices_of_one_width() -> None:
    model = MF(MFConfig())
    with pytest.raises(ValueError, match="user vectors have 2 numbers, items 3"):
        model.set_tables(torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="float32 matrix was wanted, not torch.float64 2-d"):
        model.set_tables(torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, 2))
