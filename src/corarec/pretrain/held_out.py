"""How well a model predicts held-out text, in bits per byte, beside plain compressors."""

import math
import zlib
from collections import Counter
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from corarec.types import IntArray


@torch.no_grad()
def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    positions: int = 512,
) -> float:
    """Return the bits a model needs per byte of text, each text on its own after a start token.

    Texts longer than `positions` tokens are cut there, and only the bytes kept are counted.
    """
    bits, length = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :positions].to(model.device)
        logits = model(input_ids=ids[:, :-1]).logits.float()
        loss = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="sum")
        bits += loss.item() / math.log(2)
        length += len(tokenizer.decode(ids[0, 1:]).encode())
    return bits / length


def unigram_bits_per_byte(
    counts: IntArray, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]
) -> float:
    """Return the bits per byte of a model that knows only how often each token occurs.

    Parameters
    ----------
    counts
        How often each token occurs in the training text (one is added to each).
    """
    total = int(counts.sum()) + len(counts)
    bits, length = 0.0, 0
    for text in texts:
        for token, times in Counter(tokenizer(text)["input_ids"][1:]).items():
            bits -= times * math.log2((int(counts[token]) + 1) / total)
        length += len(text.encode())
    return bits / length


def zlib_bits_per_byte(texts: Sequence[str]) -> float:
    """Return the bits per byte of zlib (as in gzip, level 9) on all texts together."""
    data = "\n".join(texts).encode()
    return 8 * len(zlib.compress(data, 9)) / len(data)
