from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from corarec.cf.sequences import network as module
from corarec.cf.sequences.network import SASRecNetwork, known_sequences
from corarec.types import Histories, Pairs

PairsOf = Callable[..., Pairs]


@pytest.fixture
def network(pairs_of: PairsOf) -> SASRecNetwork:
    """Knows the items 1..5 of 6; sequences of at most 4."""
    network = SASRecNetwork(6, size=8, max_length=4, blocks=2, heads=2, dropout=0.5)
    train = pairs_of([1] * 5, [1, 2, 3, 4, 5])
    network.start(train, torch.Generator().manual_seed(0))
    return network.eval()


def test_unknown_items_are_left_out_of_sequences() -> None:
    histories = Histories.from_lists([[1, 2, 3, 9, 1], [3], [], [2, 3]])
    known = np.array([False, True, True, False])
    sequences = known_sequences(histories, max_length=3, known=known)
    assert sequences.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 2]]


def test_padding_changes_nothing(network: SASRecNetwork) -> None:
    short = network.encode(torch.tensor([[3, 1]]))
    padded = network.encode(torch.tensor([[0, 0, 3, 1]]))
    beside_a_long_one = network.encode(torch.tensor([[0, 0, 3, 1], [5, 4, 2, 1]]))[:1]
    torch.testing.assert_close(short, padded)
    torch.testing.assert_close(short, beside_a_long_one)


def test_order_matters(network: SASRecNetwork) -> None:
    there, back = network.encode(torch.tensor([[1, 2, 3], [2, 1, 3]]))
    assert (there - back).abs().max() > 1e-3


def test_an_empty_sequence_is_zero(network: SASRecNetwork) -> None:
    assert torch.equal(network.encode(torch.zeros(2, 4, dtype=torch.int64)), torch.zeros(2, 8))
    assert network.encode(torch.zeros(0, 4, dtype=torch.int64)).shape == (0, 8)


def test_a_batch_encodes_each_sequence_once(network: SASRecNetwork, pairs_of: PairsOf) -> None:
    pairs = pairs_of([1, 1, 2], [4, 5, 4], [[1, 2], [1, 2], [3]])
    sequences, owners, items = network.batcher(pairs)(torch.tensor([0, 2, 1]))
    assert len(sequences) == 2
    assert sequences[owners].tolist() == [[0, 0, 1, 2], [0, 0, 0, 3], [0, 0, 1, 2]]
    assert items.tolist() == [4, 4, 5]
    groups = network.row_groups(pairs)
    assert groups[0] == groups[1] != groups[2]


def test_attention_is_causal(network: SASRecNetwork) -> None:
    """With a first block that looked ahead, position t of its output would see later items."""
    x = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[:, 2] += 1
    causal = torch.ones(3, 3, dtype=torch.bool).tril()[None]
    before, after = (network.blocks[0](states, states, causal) for states in (x, changed))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-3


def test_the_last_block_computes_only_the_last_position(network: SASRecNetwork) -> None:
    """Its output there is that of the full computation."""
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    causal = torch.ones(3, 3, dtype=torch.bool).tril().expand(2, 3, 3)
    whole = network.blocks[1](x, x, causal)[:, -1:]
    torch.testing.assert_close(network.blocks[1](x[:, -1:], x, causal[:, -1:]), whole)


def test_dropout_draws_from_its_own_generator(network: SASRecNetwork) -> None:
    sequences = torch.tensor([[1, 2, 3]])
    network.train()
    state = network.dropout.generator
    assert state is not None
    results = []
    for seed in (5, 5, 6):
        state.manual_seed(seed)
        results.append(network.encode(sequences))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_dropout_keeps_the_mean(network: SASRecNetwork) -> None:
    network.train()
    dropped = network.dropout(torch.ones(100_000))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_items_seen_only_in_histories_are_known(pairs_of: PairsOf) -> None:
    network = SASRecNetwork(4, size=2, max_length=4, blocks=1, heads=1, dropout=0.0)
    histories = Histories(np.array([1, 2, 3]), np.array([0, 0]), np.array([0, 2]))
    train = Pairs(np.array([1, 1]), np.array([4, 4]), histories)
    network.start(train, torch.Generator().manual_seed(0))
    assert network.known.tolist() == [False, True, True, False, True]
    assert network.items.weight[3].tolist() == [0.0, 0.0]


def test_sequences_are_made_once_per_history_some_at_a_time(
    network: SASRecNetwork, pairs_of: PairsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    liked = np.array([1, 2, 2, 3, 1, 2])
    # Two users with the same likes; rows before the first like, and several after each.
    start = np.array([0, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4])
    end = np.array([0, 1, 1, 2, 3, 3, 4, 4, 4, 6, 5])
    pairs = pairs_of([1] * 5 + [2] * 6, [1] * 11)
    pairs = replace(pairs, histories=Histories(liked, start, end))
    known = network.known.numpy()
    plain = known_sequences(pairs.histories, network.max_length, known)
    wanted, owners = np.unique(plain, axis=0, return_inverse=True)
    made: list[int] = []
    pieces: list[int] = []
    whole, last = module.known_sequences, Histories.last

    def sequences_of(histories: Histories, *rest: Any) -> Any:
        made.append(len(histories))
        return whole(histories, *rest)

    def last_of(histories: Histories, count: int) -> Any:
        pieces.append(len(histories))
        return last(histories, count)

    monkeypatch.setattr(module, "known_sequences", sequences_of)
    monkeypatch.setattr(Histories, "last", last_of)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 3)
    sequences, places = network.distinct_sequences(pairs)
    np.testing.assert_array_equal(sequences, wanted)
    np.testing.assert_array_equal(places, owners.reshape(-1))
    assert made == [7]  # of 11 rows
    assert max(pieces) == 3
