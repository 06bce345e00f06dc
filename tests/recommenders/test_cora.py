"""The sizes of CoRA's generator, as a recipe gives them."""

import pytest

from corarec.errors import ConfigError
from corarec.recommenders.cora import CoraSystem


def test_the_name_of_a_preset_is_enough() -> None:
    """A recipe's `generator: paper` has the authors' sizes."""
    config = CoraSystem.parse({"name": "cora", "generator": "paper"}, "here")
    sizes = config.generator.sized(256)
    assert (sizes.num_queries, sizes.num_blocks, sizes.width) == (4, 8, None)


def test_sizes_stand_on_top_of_the_preset() -> None:
    """What is not named stays the preset's."""
    generator = {"num_queries": 1, "num_blocks": 3, "dropout": 0}
    config = CoraSystem.parse({"name": "cora", "generator": generator}, "here")
    sizes = config.generator.sized(16)
    assert (sizes.num_queries, sizes.num_blocks, sizes.dropout) == (1, 3, 0)
    assert (sizes.width, sizes.feed_forward_size) == (32, 64)
    assert config == CoraSystem.parse(config.model_dump(), "written and read again")


@pytest.mark.parametrize("generator", ["fat", {"num_queries": 0}, {"blocks": 2}, 3])
def test_other_generators_are_refused(generator: object) -> None:
    """Unknown presets, keys and sizes are errors that name the key."""
    with pytest.raises(ConfigError, match="generator"):
        CoraSystem.parse({"name": "cora", "generator": generator}, "here")
