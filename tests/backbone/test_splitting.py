import torch

from corarec.backbone.splitting import split_prompts


def test_each_distinct_prefix_once_and_every_suffix_behind_its_own() -> None:
    ids = torch.tensor([[0, 0, 7, 8, 1, 2], [0, 7, 8, 1, 2, 3], [0, 0, 7, 9, 1, 2]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
    split = split_prompts(ids, mask, torch.tensor([4, 3, 4]))
    assert split is not None
    assert split.prefix_ids.tolist() == [[7, 8], [7, 9]]
    assert split.rows.tolist() == [0, 0, 1]
    assert split.suffix_ids.tolist() == [[8, 1, 2], [1, 2, 3], [9, 1, 2]]
    assert split.position_ids.tolist() == [[2, 2, 3], [2, 3, 4], [2, 2, 3]]
    # The first token of the first row belongs to its prefix: nobody sees it here.
    assert split.visible[0].int().tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 1, 1]]
    assert split.visible[1].int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert split.length == 5


def test_prefixes_of_other_lengths_are_padded_on_the_right() -> None:
    ids = torch.tensor([[0, 0, 7, 1, 2], [5, 6, 7, 1, 2]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    split = split_prompts(ids, mask, torch.tensor([3, 3]))
    assert split is not None
    order = split.rows.tolist()
    assert [split.prefix_ids[row].tolist() for row in order] == [[7, 0, 0], [5, 6, 7]]
    assert split.visible[0, 1].int().tolist() == [1, 0, 0, 1, 1]


def test_a_prefix_that_holds_the_padding_token_stays_apart() -> None:
    ids = torch.tensor([[0, 7, 0, 1], [0, 0, 7, 1]])
    mask = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 1]])
    split = split_prompts(ids, mask, torch.tensor([3, 3]))
    assert split is not None
    assert len(split.prefix_ids) == 2
    assert split.visible[:, -1, :2].tolist() == [[True, True], [True, False]]


def test_prompts_that_begin_with_their_suffix_have_nothing_to_share() -> None:
    ids, mask = torch.tensor([[0, 7, 1]]), torch.tensor([[0, 1, 1]])
    assert split_prompts(ids, mask, torch.tensor([1])) is None


def test_a_row_without_a_prefix_among_others() -> None:
    ids, mask = torch.tensor([[0, 7, 1], [5, 7, 1]]), torch.tensor([[0, 1, 1], [1, 1, 1]])
    split = split_prompts(ids, mask, torch.tensor([1, 1]))
    assert split is not None
    assert not split.visible[0, :, 0].any()
    assert split.visible[1, :, 0].all()
    assert split.position_ids.tolist() == [[0, 1], [1, 2]]


def test_a_batch_of_nearly_all_distinct_prefixes_keeps_them_with_their_rows() -> None:
    ids = torch.arange(26).view(13, 2).flip(0).repeat(2, 1)[:14]
    mask = torch.ones_like(ids)
    starts = torch.ones(14, dtype=torch.int64)
    nearly = split_prompts(ids, mask, starts)  # 13 distinct ones of 14
    assert nearly is not None
    assert nearly.prefix_ids.tolist() == ids[:, :1].tolist()
    assert nearly.rows.tolist() == list(range(14))
    fewer = split_prompts(ids[[*range(12), 0, 1]], mask, starts)
    assert fewer is not None
    assert len(fewer.prefix_ids) == 12
    assert torch.equal(fewer.prefix_ids[fewer.rows], ids[[*range(12), 0, 1], :1])
