"""Contracts as tests: for a CF model of one's own, in two lines.

    class TestMine(CFConformance):
        model = "mine"

They need pytest alone (`corarec[testing]`) and bring the small worlds that they run in.
"""

from corarec.extras import needs

with needs("testing"):
    import pytest

# Before the module below is imported: its asserts shall say what they compared.
pytest.register_assert_rewrite("corarec.testing.cf")

from corarec.testing.cf import CFConformance  # noqa: E402

__all__ = ["CFConformance"]
