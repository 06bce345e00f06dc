"""Contracts as tests: for a CF model, a system or a data source of one's own, in two lines.

    class TestMine(CFConformance):
        model = "mine"

They need pytest alone (`corarec[testing]`) and bring the small worlds that they run in.
"""

from corarec.extras import needs

with needs("testing"):
    import pytest

# Before the modules below are imported: their asserts shall say what they compared.
pytest.register_assert_rewrite(
    *(
        f"corarec.testing.{module}"
        for module in ("cf", "sources", "system_training", "system_world", "systems")
    )
)

from corarec.testing.cf import CFConformance  # noqa: E402
from corarec.testing.sources import SourceConformance  # noqa: E402
from corarec.testing.systems import SystemConformance  # noqa: E402

__all__ = ["CFConformance", "SourceConformance", "SystemConformance"]
