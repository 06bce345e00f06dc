"""How a language model reads texts: log-probabilities, greedy tokens, bits per byte."""

import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from corarec.ability.files import TextSet
from corarec.ability.measured import Advance, Values
from corarec.backbone.chat import PromptFrame
from corarec.errors import ConfigError
from corarec.types import FloatArray, IntArray

DEFAULT_LENGTH = 2048
"""Tokens that a model reads whose config does not say."""
GREEDY: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}
"""For `generate`: the most probable token each time, whatever a model's own files ask for."""
LEAST_LENGTH = 128
"""Tokens that a model must read to be asked anything here."""


def most_positions(model: Any) -> int:
    """Return how many tokens a model reads at once.

    Raises
    ------
    ConfigError
        Too few to be asked anything.
    """
    config = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    most = int(getattr(text, "max_position_embeddings", None) or DEFAULT_LENGTH)
    if most < LEAST_LENGTH:
        raise ConfigError(
            f"This language model reads {most} tokens at once; general ability is measured from "
            f"{LEAST_LENGTH} on. Take a model that reads more."
        )
    return most


@dataclass(frozen=True)
class Language:
    """How text becomes tokens of a language model."""

    tokenizer: Any
    frame: PromptFrame
    """What stands around a prompt."""


@dataclass
class Witness:
    """Keeps a digest of all logits that it is shown, to tell whether two models gave the same."""

    _hash: Any = field(default_factory=hashlib.sha256)

    def see(self, logits: torch.Tensor) -> None:
        """Take logits into the digest, bit for bit."""
        self._hash.update(logits.detach().contiguous().cpu().view(torch.uint8).numpy())

    @property
    def digest(self) -> str:
        """SHA-256 of all that was seen."""
        return str(self._hash.hexdigest())


@dataclass(frozen=True)
class Continued:
    """A prompt, and what the untouched model wrote after it."""

    prompt: list[int]
    written: list[int]


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield numbers of texts, the longest first, with `batch_tokens` tokens or fewer a batch.

    A text that is longer has a batch of its own. The same lengths give the same batches.
    """
    order = sorted(range(len(lengths)), key=lambda number: (-lengths[number], number))
    start = 0
    while start < len(order):
        count = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + count]
        start += count


def padded(
    rows: Sequence[Sequence[int]], filler: int, device: torch.device, *, left: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask, [B, T] each."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), filler)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(row)
        mask[number, place] = 1
    return ids.to(device), mask.to(device)


def prompt_ids(tokenizer: Any, prompts: Sequence[str], most: int) -> list[list[int]]:
    """Return the tokens of prompts; of those that are longer than `most`, the last ones."""
    encoded = tokenizer(list(prompts), return_attention_mask=False, verbose=False)["input_ids"]
    return [list(ids[-most:]) for ids in encoded]


@torch.inference_mode()
def write_greedily(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    tokens: int,
    batch_tokens: int,
    advance: Advance,
) -> list[Continued]:
    """Return the most probable next `tokens` tokens of every prompt, up to an end."""
    found: dict[int, Continued] = {}
    said = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(said if isinstance(said, list) else [said])}
    for numbers in batches([len(prompt) + tokens for prompt in prompts], batch_tokens):
        rows = [prompts[number] for number in numbers]
        ids, mask = padded(rows, tokenizer.pad_token_id or 0, model.device, left=True)
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=tokens,
            **GREEDY,
            pad_token_id=tokenizer.pad_token_id,
        )
        for number, row in zip(numbers, output[:, ids.shape[1] :].tolist(), strict=True):
            found[number] = Continued(prompts[number], _until_end(row, ends))
        advance(len(numbers))
    return [found[number] for number in range(len(prompts))]


def _until_end(row: list[int], ends: Collection[int | None]) -> list[int]:
    """Return tokens up to the first end, which is kept: what follows is padding."""
    places = (place for place, token in enumerate(row) if token in ends)
    return row[: next(places, len(row)) + 1]


@torch.inference_mode()
def follow(
    model: Any,
    filler: int,
    texts: Sequence[Continued],
    batch_tokens: int,
    advance: Advance,
    witness: Witness,
) -> tuple[list[IntArray], list[FloatArray]]:
    """Read what was written, each token after those before it.

    Returns
    -------
    For each text the greedy token at each of its places, and natural log-probabilities of its own
    tokens. Two models whose greedy tokens are the same at all places write the same.
    """
    greedy: list[IntArray] = [np.zeros(0, np.int64)] * len(texts)
    found: list[FloatArray] = [np.zeros(0)] * len(texts)
    rows = [[*text.prompt, *text.written] for text in texts]
    for numbers in batches([len(row) for row in rows], batch_tokens):
        ids, mask = padded([rows[number] for number in numbers], filler, model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for place, number in enumerate(numbers):
            end, count = len(rows[number]), len(texts[number].written)
            own = logits[place, end - count - 1 : end - 1].float()
            witness.see(own)
            tokens = ids[place, end - count : end]
            scores = functional.log_softmax(own, dim=-1).gather(1, tokens[:, None])[:, 0]
            greedy[number] = own.argmax(dim=-1).cpu().numpy()
            found[number] = scores.double().cpu().numpy()
        advance(len(numbers))
    return greedy, found


@torch.inference_mode()
def bits_of(
    model: Any,
    tokenizer: Any,
    texts: TextSet,
    batch_tokens: int,
    advance: Advance,
    witness: Witness,
) -> Values:
    """Return the bits that a model needs for each text, and the text's size in bytes.

    Each text stands by itself after a start token (the end token, where a model has no other; a
    model with neither is not charged for the first token). One that is longer than the model reads
    is cut there, and only the bytes that were read count.
    """
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    first = [] if start is None else [int(start)]
    encoded = tokenizer(
        list(texts.texts),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )
    most = most_positions(model) - len(first)
    rows, sizes = [], np.zeros(len(texts.texts))
    for number, (text, ids, offsets) in enumerate(
        zip(texts.texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ):
        rows.append(first + list(ids[:most]))
        kept = text if len(ids) <= most else text[: max(end for _, end in offsets[:most])]
        charged = kept if first else kept[offsets[0][1] :]
        sizes[number] = len(charged.encode())
    bits = np.zeros(len(rows))
    for numbers in batches([len(row) for row in rows], batch_tokens):
        filler = tokenizer.pad_token_id or 0
        ids, mask = padded([rows[number] for number in numbers], filler, model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for place, number in enumerate(numbers):
            own = logits[place, : len(rows[number]) - 1].float()
            witness.see(own)
            loss = functional.cross_entropy(own, ids[place, 1 : len(rows[number])], reduction="sum")
            bits[number] = float(loss) / math.log(2)
        advance(len(numbers))
    return Values(bits, texts.numbers, sizes=np.maximum(sizes, 1.0))
