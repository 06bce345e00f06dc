"""Log-probabilities, greedy tokens and bits per byte, against the plain way to get them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corarec.ability.files import TextSet
from corarec.ability.reading import (
    Witness,
    batches,
    bits_of,
    follow,
    most_positions,
    prompt_ids,
    write_greedily,
)
from corarec.backbone import Backbone, BackboneConfig, load_backbone
from corarec.errors import ConfigError
from corarec.pretrain.held_out import bits_per_byte

PROMPTS = ["The sea", "A user has given", "#Answer: Yes, and then it was so long that nobody"]


@pytest.fixture(scope="module")
def backbone(tiny_backbone: Path) -> Backbone:
    return load_backbone(BackboneConfig(model=str(tiny_backbone)))


def ignore(count: int) -> None:
    pass


@pytest.mark.parametrize("batch_tokens", [1, 64, 4096])
def test_what_is_written_is_greedy_whatever_the_batch(
    backbone: Backbone, batch_tokens: int
) -> None:
    model, tokenizer = backbone.model, backbone.tokenizer
    prompts = prompt_ids(tokenizer, PROMPTS, 500)
    seen: list[int] = []
    written = write_greedily(model, tokenizer, prompts, 5, batch_tokens, seen.append)
    assert sum(seen) == 3
    for text in written:
        ids = list(text.prompt)
        for token in text.written:
            with torch.no_grad():
                assert token == int(model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
    greedy, scores = follow(model, 0, written, batch_tokens, ignore, Witness())
    for text, own, found in zip(written, greedy, scores, strict=True):
        assert own.tolist() == text.written
        whole = torch.tensor([[*text.prompt, *text.written]])
        with torch.no_grad():
            wanted = model(whole).logits[0].log_softmax(-1)
        places = range(len(text.prompt) - 1, whole.shape[1] - 1)
        by_hand = [float(wanted[n, t]) for n, t in zip(places, text.written, strict=True)]
        np.testing.assert_allclose(found, by_hand, atol=1e-5)


def test_what_is_written_is_greedy_whatever_the_model_asks_for(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = backbone.model, backbone.tokenizer
    prompts = prompt_ids(tokenizer, PROMPTS, 500)

    def written() -> list[list[int]]:
        return [each.written for each in write_greedily(model, tokenizer, prompts, 9, 4096, ignore)]

    plain = written()
    asked = {"repetition_penalty": 50.0, "no_repeat_ngram_size": 1, "num_beams": 3}
    for name, value in asked.items():
        monkeypatch.setattr(model.generation_config, name, value)
    assert written() == plain
    # The end of a turn is an end beside that of a text; what fills the batch is not written.
    monkeypatch.setattr(model.generation_config, "eos_token_id", [1, plain[0][1]])
    cut = written()
    assert cut[0] == plain[0][: plain[0].index(plain[0][1]) + 1]
    assert [len(ids) for ids in cut] == [
        ids.index(plain[0][1]) + 1 if plain[0][1] in ids else len(ids) for ids in plain
    ]


def test_another_model_is_told_by_its_tokens_and_its_digest(backbone: Backbone) -> None:
    prompts = prompt_ids(backbone.tokenizer, PROMPTS, 500)
    written = write_greedily(backbone.model, backbone.tokenizer, prompts, 4, 4096, ignore)
    other = load_backbone(
        BackboneConfig(model=str(backbone.tokenizer.name_or_path), random_weights=True, seed=3)
    )
    digests = []
    for model in (backbone.model, backbone.model, other.model):
        witness = Witness()
        follow(model, 0, written, 4096, ignore, witness)
        digests.append(witness.digest)
    assert digests[0] == digests[1] != digests[2]
    nudged = Witness()
    nudged.see(torch.tensor([1.0, 0.0]))
    plain = Witness()
    plain.see(torch.tensor([1.0, -0.0]))
    assert nudged.digest != plain.digest  # to the last bit, the sign of zero included


def test_bits_of_texts_are_those_of_one_text_at_a_time(backbone: Backbone) -> None:
    texts = ("The sea is near.", "caf\u00e9 \U0001f600 and so on", "A user has given high ratings")
    found = bits_of(
        backbone.model,
        backbone.tokenizer,
        TextSet("t", Path("t.txt"), texts, (1, 2, 3), 3),
        4096,
        ignore,
        Witness(),
    )
    assert found.sizes is not None
    assert found.sizes.tolist() == [len(text.encode()) for text in texts]
    wanted = bits_per_byte(backbone.model, backbone.tokenizer, texts)
    assert found.values.sum() / found.sizes.sum() == pytest.approx(wanted, rel=1e-5)


def test_of_a_long_text_only_the_bytes_that_were_read_count(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone.model.config, "max_position_embeddings", 128)
    text = "\u00e9" * 400  # two bytes, and two tokens, each
    found = bits_of(
        backbone.model,
        backbone.tokenizer,
        TextSet("t", Path("t.txt"), (text,), (1,), 1),
        4096,
        ignore,
        Witness(),
    )
    assert found.sizes is not None
    assert 120 <= found.sizes[0] <= 130
    assert 0 < found.values[0] / math.log2(len(backbone.tokenizer)) < 260


def test_a_prompt_that_is_too_long_keeps_its_end(backbone: Backbone) -> None:
    (whole,) = prompt_ids(backbone.tokenizer, PROMPTS[:1], 500)
    (cut,) = prompt_ids(backbone.tokenizer, PROMPTS[:1], 3)
    assert cut == whole[-3:]


def test_batches_hold_every_text_once_within_their_size() -> None:
    lengths = [5, 900, 30, 30, 1, 64]
    found = list(batches(lengths, 100))
    assert sorted(n for batch in found for n in batch) == list(range(6))
    assert found[0] == [1]
    assert all(
        len(batch) == 1 or len(batch) * max(lengths[n] for n in batch) <= 100 for batch in found
    )


def test_a_model_that_reads_next_to_nothing_is_refused(
    backbone: Backbone, monkeypatch: Any
) -> None:
    assert most_positions(backbone.model) == 1024
    monkeypatch.setattr(backbone.model.config, "max_position_embeddings", 64)
    with pytest.raises(ConfigError, match="reads 64 tokens at once"):
        most_positions(backbone.model)
