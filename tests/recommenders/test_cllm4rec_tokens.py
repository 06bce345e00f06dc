import numpy as np
import pytest
import torch

from corarec.recommenders.cllm4rec_tokens import BothSides, ExtendedVocabulary, IdTokens

VOCABULARY = ExtendedVocabulary(words=100, num_users=3, num_items=4)


@pytest.fixture
def sides() -> tuple[IdTokens, IdTokens]:
    torch.manual_seed(0)
    return IdTokens(VOCABULARY, 5, 0.02), IdTokens(VOCABULARY, 5, 0.02)


def test_users_and_items_stand_behind_the_words() -> None:
    ids = np.array([0, 1, 3, 4, 5, 10**12, -1])
    assert VOCABULARY.user(ids).tolist() == [100, 101, 103, 100, 100, 100, 100]
    assert VOCABULARY.item(ids).tolist() == [104, 105, 107, 108, 104, 104, 104]
    assert VOCABULARY.num_ids == 9


def test_start_values_have_the_standard_deviation() -> None:
    torch.manual_seed(0)
    many = IdTokens(ExtendedVocabulary(10, 500, 500), 64, 0.02)
    assert float(many.weight.std()) == pytest.approx(0.02, rel=0.02)
    assert abs(float(many.weight.mean())) < 1e-3
    assert not many.known.any()


def test_each_id_has_the_embedding_of_the_side_that_knows_it(
    sides: tuple[IdTokens, IdTokens],
) -> None:
    collaborative, content = sides
    collaborative.mark_known(VOCABULARY.user(np.array([1, 2])))
    collaborative.mark_known(VOCABULARY.item(np.array([1])))
    content.mark_known(VOCABULARY.item(np.array([1, 2])))
    both = BothSides(collaborative, content)
    found = both(torch.arange(9))
    assert torch.equal(found[[1, 2, 5]], collaborative.weight[[1, 2, 5]])
    assert torch.equal(found[6], content.weight[6])
    of_users = collaborative.weight[1:3].mean(dim=0)
    of_items = (collaborative.weight[5] + content.weight[6]) / 2
    torch.testing.assert_close(found[[0, 3]], of_users.expand(2, -1))
    torch.testing.assert_close(found[[4, 7, 8]], of_items.expand(3, -1))
    assert torch.equal(both.items(), found[4:])


def test_where_nothing_is_known_there_are_zeros(sides: tuple[IdTokens, IdTokens]) -> None:
    assert not BothSides(*sides)(torch.arange(9)).any()


def test_words_are_nobody(sides: tuple[IdTokens, IdTokens]) -> None:
    sides[0].mark_known(np.array([0, 99, 101]))
    assert sides[0].known.nonzero().flatten().tolist() == [1]
