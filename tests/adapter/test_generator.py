from typing import Any

import pytest
import torch
from pydantic import ValidationError

from corarec.adapter.generator import Attention, CollaborativeQueryGenerator, GeneratorConfig
from corarec.errors import ConfigError


def _generator(seed: int = 0, **changes: object) -> CollaborativeQueryGenerator:
    sizes = {"width": 8, "num_blocks": 2, "num_heads": 2} | changes
    config = GeneratorConfig.preset("fit", 3, **sizes)
    rng = torch.Generator().manual_seed(seed)
    return CollaborativeQueryGenerator(config, 2, [10, 6, 10], rng).eval()


def _pairs(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1))


def test_paper_preset_has_the_sizes_of_the_authors_code() -> None:
    config = GeneratorConfig.preset("paper", 256)
    rng = torch.Generator().manual_seed(0)
    generator = CollaborativeQueryGenerator(config, 16, [32], rng)
    assert generator.queries.shape == (1, 4, 512)
    assert len(generator.blocks) == 8
    shapes = {name: tuple(value.shape) for name, value in generator.blocks[0].named_parameters()}
    assert shapes["self_attention.query.weight"] == (512, 512)
    assert shapes["cross_attention.key.weight"] == (512, 512)
    assert shapes["feed_forward.input.weight"] == (3072, 512)
    assert config.num_heads == 8
    assert config.layer_norm_eps == 1e-12
    assert config.dropout == 0.1


def test_fit_preset_is_narrow_and_changes_go_on_top() -> None:
    config = GeneratorConfig.preset("fit", 256, num_blocks=1)
    assert (config.width, config.feed_forward_size, config.num_blocks) == (128, 256, 1)
    assert GeneratorConfig.preset("fit", 8).width == 16


def test_unknown_preset_field_and_empty_vector_are_refused() -> None:
    name: Any = "fitt"
    with pytest.raises(ConfigError, match="no generator preset 'fitt'; choose 'paper' or 'fit'"):
        GeneratorConfig.preset(name, 8)
    with pytest.raises(ValidationError, match="widht"):
        GeneratorConfig.preset("fit", 8, widht=4)
    with pytest.raises(ValidationError, match="greater than 0"):
        GeneratorConfig(vector_size=0)


def test_one_matrix_of_norm_one_per_distinct_width() -> None:
    matrices = _generator()(_pairs())
    assert {width: tuple(A.shape) for width, A in matrices.items()} == {
        6: (4, 6, 2),
        10: (4, 10, 2),
    }
    for A in matrices.values():
        torch.testing.assert_close(A.flatten(1).norm(dim=1), torch.ones(4))


def test_matrix_without_norm_is_the_reshaped_mean_of_the_final_linear() -> None:
    generator = _generator(normalize=False, num_blocks=1)
    pairs = _pairs()
    queries = generator.query_norm(generator.queries).expand(4, -1, -1)
    queries = generator.blocks[0](queries, pairs.unsqueeze(1))
    expected = generator.final["10"](queries).mean(dim=1).view(4, 10, 2)
    torch.testing.assert_close(generator(pairs)[10], expected)


def test_each_pair_has_its_own_matrix_whatever_the_batch() -> None:
    generator, pairs = _generator(), _pairs()
    together = generator(pairs)[10]
    alone = torch.cat([generator(pair.unsqueeze(0))[10] for pair in pairs])
    torch.testing.assert_close(together, alone)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_shortcut_of_the_single_key_equals_attention_in_full() -> None:
    attention = Attention(8, 6, 2, dropout=0.0)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    queries, context = torch.randn(3, 4, 8), torch.randn(3, 1, 6)
    in_full = attention.train()(queries, context)
    shortcut = attention.eval()(queries, context)
    assert shortcut.shape == (3, 1, 8)
    torch.testing.assert_close(in_full, shortcut.expand(-1, 4, -1))


def test_training_without_dropout_equals_evaluation() -> None:
    generator = _generator(dropout=0.0)
    torch.testing.assert_close(generator.train()(_pairs())[6], generator.eval()(_pairs())[6])


def test_training_drops_per_pair_from_the_queries_on() -> None:
    generator = _generator(dropout=0.5)
    entering: list[torch.Tensor] = []
    generator.blocks[0].register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0]))
    same = _pairs(1).expand(2, -1)
    torch.manual_seed(0)
    first, second = generator.train()(same)[6]
    assert not torch.equal(entering[0][0], entering[0][1])
    assert not torch.equal(first, second)
    generator.eval()(same)
    assert entering[1].shape == (1, 4, 8)  # common to all pairs until they meet one


def test_heads_need_not_divide_the_width() -> None:
    generator = _generator(width=7, num_heads=3)
    assert dict(generator.named_parameters())["blocks.0.self_attention.query.weight"].shape == (
        9,
        7,
    )
    assert generator(_pairs())[6].shape == (4, 6, 2)


def test_initial_weights_come_from_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = _generator(0), _generator(0), _generator(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.queries, other.queries)


def test_initial_weights_have_the_stated_spread() -> None:
    rng = torch.Generator().manual_seed(0)
    generator = CollaborativeQueryGenerator(GeneratorConfig.preset("paper", 32), 4, [16], rng)
    weights = dict(generator.named_parameters())
    spread = weights["blocks.0.feed_forward.input.weight"].std().item()
    assert spread == pytest.approx(0.02, rel=0.05)
    assert not weights["blocks.0.feed_forward.input.bias"].any()
    bound = 64**-0.5  # Kaiming-uniform with a = sqrt(5)
    assert bound * 0.98 < weights["final.16.weight"].abs().max().item() <= bound
    narrow = dict(_generator(width=64).named_parameters())
    spread = narrow["blocks.0.self_attention.query.weight"].std().item()
    assert spread == pytest.approx(1 / 8, rel=0.05)


def test_fields_of_earlier_versions_are_dropped_where_they_were_idle() -> None:
    sizes = {"vector_size": 3, "init_std": None}
    old = sizes | {"input_scale": 1.0, "input_norm": "none"}
    assert GeneratorConfig(**old) == GeneratorConfig(**sizes)
    with pytest.raises(ValidationError, match="input_scale"):
        GeneratorConfig(**(old | {"input_scale": 2.0}))


def test_cold_half_leaves_an_increment_from_the_other_half() -> None:
    generator, pairs = _generator(), _pairs(2)
    cold_user = pairs.clone()
    cold_user[:, :3] = 0
    first, second = generator(cold_user)[6]
    assert not torch.equal(first, second)
    torch.testing.assert_close(first.norm(), torch.tensor(1.0))
