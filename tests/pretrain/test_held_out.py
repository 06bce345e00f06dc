import math
import zlib

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from corarec.pretrain.held_out import bits_per_byte, unigram_bits_per_byte, zlib_bits_per_byte

TEXTS = ["#Answer: Yes", "A user has given"]


def test_a_model_that_knows_nothing(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.nn.init.zeros_(tiny_model.lm_head.weight)
    tokens = sum(len(tiny_tokenizer(text)["input_ids"]) - 1 for text in TEXTS)
    length = sum(len(text.encode()) for text in TEXTS)
    expected = tokens * math.log2(len(tiny_tokenizer)) / length
    assert bits_per_byte(tiny_model, tiny_tokenizer, TEXTS) == pytest.approx(expected, rel=1e-5)


def test_only_the_bytes_read_are_counted(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.nn.init.zeros_(tiny_model.lm_head.weight)
    long = "x" * 100
    cut = bits_per_byte(tiny_model, tiny_tokenizer, [long], positions=11)
    assert cut == pytest.approx(math.log2(len(tiny_tokenizer)), rel=1e-5)


def test_unigram_by_hand(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    size = len(tiny_tokenizer)
    token = tiny_tokenizer("x", add_special_tokens=False)["input_ids"][0]
    counts = np.zeros(size, dtype=np.int64)
    counts[token] = 3
    # "xx" costs twice the log of (3 + 1) / (3 + size), over two bytes.
    expected = -math.log2(4 / (3 + size))
    assert unigram_bits_per_byte(counts, tiny_tokenizer, ["xx"]) == pytest.approx(expected)


def test_zlib() -> None:
    expected = 8 * len(zlib.compress(b"a\nb", 9)) / 3
    assert zlib_bits_per_byte(["a", "b"]) == pytest.approx(expected)
    assert zlib_bits_per_byte(["same words again"] * 100) < 0.5
