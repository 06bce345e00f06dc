"""Whether the model still repeats a description of a user and an item, word for word.

The test of the paper's Figure 2. A system's own marks of user and item (soft tokens, codes) stand
in the description as they do in its prompts, and are no part of what is to be repeated.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from corarec.ability.measured import Advance, Values
from corarec.ability.reading import GREEDY, Language
from corarec.ability.wording import rouge_l
from corarec.prompts import PromptConfig, PromptEncoder
from corarec.recommenders.llm import PromptRecommender
from corarec.runs import Run
from corarec.types import Pairs

TASK = "description"
SHOWN = 3
"""Titles of the history in a description."""
MORE_TOKENS = 8
"""That may be written beyond the length of the description."""

_DESCRIPTION = (
    "A user {user}has given high ratings to the following {{nouns}}: {{history}}. Another {{noun}} "
    "{item}is titled {{title}}."
)
_ORDER = "Repeat the description. Description: {} Repetition:"
_BARE = _DESCRIPTION.format(user="", item="")


class Serve(Protocol):
    """Opens the language model as it serves text about one pair."""

    def __call__(self, pair: Pairs) -> AbstractContextManager[Any]:
        """Return what yields the model."""


def described_pairs(run: Run, count: int, seed: int) -> Pairs | None:
    """Draw users with a history, and an item for each.

    None where no such user is known, or where the system does not ask about a pair.
    """
    knowledge = run.knowledge
    if not knowledge.users or not isinstance(run.recommender, PromptRecommender):
        return None
    users = np.flatnonzero(knowledge.timeline.liked_counts() >= SHOWN)
    users = users[users > 0]
    if not len(users):
        return None
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(users, min(count, len(users)), replace=False))
    items = generator.integers(1, knowledge.catalogue.num_items + 1, size=len(chosen))
    return run.directory.pairs(chosen.astype(np.int64), items.astype(np.int64))


def with_marks(slots: frozenset[str]) -> PromptConfig:
    """Return the order to repeat, with the system's own marks where it has some."""
    marks = {name: f"{{{name}}} " if name in slots else "" for name in ("user", "item")}
    template = _ORDER.format(_DESCRIPTION.format(**marks))
    return PromptConfig(template=template, history_length=SHOWN)


@contextmanager
def prompting(recommender: PromptRecommender, config: PromptConfig) -> Iterator[None]:
    """Let a system ask by another prompt for a while."""
    own = recommender.encoder
    recommender.encoder = own.with_config(config)
    try:
        yield
    finally:
        recommender.encoder = own


def repeat_untouched(
    model: Any, language: Language, encoder: PromptEncoder, pairs: Pairs, advance: Advance
) -> tuple[Values, Values]:
    """Return how the untouched model repeats: ROUGE-L, and bits with bytes."""
    plain = encoder.with_config(PromptConfig(template=_ORDER.format(_BARE), history_length=SHOWN))
    found = []
    for pair in _each(pairs):
        batch = plain.encode(pair)
        reads = {"input_ids": batch.input_ids.to(model.device)}
        found.append(_repeat(model, reads, language, encoder, pair))
        advance(1)
    return _values(found)


def repeat(
    recommender: PromptRecommender,
    serve: Serve,
    slots: frozenset[str],
    language: Language,
    pairs: Pairs,
    advance: Advance,
) -> tuple[Values, Values]:
    """Return how a system repeats, with its own marks in the description: as above."""
    found = []
    with prompting(recommender, with_marks(slots)):
        for pair in _each(pairs):
            batch = recommender.inputs(pair).batch(np.zeros(1, np.int64))
            batch = {name: value.to(recommender.device) for name, value in batch.items()}
            with torch.inference_mode(), serve(pair) as model:
                reads = recommender.model_input(**batch)
                found.append(_repeat(model, reads, language, recommender.encoder, pair))
            advance(1)
    return _values(found)


def _each(pairs: Pairs) -> Iterator[Pairs]:
    for number in range(len(pairs)):
        yield pairs.take(np.array([number]))


@torch.inference_mode()
def _repeat(
    model: Any,
    reads: dict[str, torch.Tensor],
    language: Language,
    encoder: PromptEncoder,
    pair: Pairs,
) -> tuple[float, float, int, str]:
    """Return ROUGE-L, bits, bytes of the description, and what was written."""
    description, ids = _wanted(language, encoder, pair)
    wanted = torch.tensor([ids], device=model.device)
    ((name, read),) = reads.items()
    tokenizer = language.tokenizer
    output = model.generate(
        **reads,
        attention_mask=torch.ones(read.shape[:2], dtype=torch.int64, device=read.device),
        max_new_tokens=len(ids) + MORE_TOKENS,
        **GREEDY,
        pad_token_id=tokenizer.pad_token_id,
    )
    new = output[0, read.shape[1] :] if name == "input_ids" else output[0]
    written = str(tokenizer.decode(new, skip_special_tokens=True))
    rest = wanted if name == "input_ids" else model.get_input_embeddings()(wanted).to(read.dtype)
    logits = model(**{name: torch.cat([read, rest], dim=1)}, use_cache=False).logits
    own = logits[0, read.shape[1] - 1 : -1].float()
    bits = float(functional.cross_entropy(own, wanted[0], reduction="sum")) / math.log(2)
    return rouge_l(written, description), bits, len(description.encode()), written


def _wanted(language: Language, encoder: PromptEncoder, pair: Pairs) -> tuple[str, list[int]]:
    """Return the description of a pair, and its tokens where they follow the order to repeat it."""
    shown = encoder.with_config(
        PromptConfig(template=_ORDER.format(_BARE), history_length=SHOWN)
    ).shown(pair)
    past = pair.histories
    pair = replace(pair, histories=replace(past, start=past.end - shown))
    config = PromptConfig(template=_BARE, history_length=SHOWN)
    (framed,) = encoder.with_config(config).render(pair)
    before, after = language.frame.before, language.frame.after
    description = framed[len(before) : len(framed) - len(after)]
    order = language.frame.wrap(_ORDER.format(description))
    first, whole = language.tokenizer(
        [order, f"{order}{'' if after else ' '}{description}"], return_attention_mask=False
    )["input_ids"]
    return description, list(whole[len(first) :])


def _values(found: list[tuple[float, float, int, str]]) -> tuple[Values, Values]:
    scores, bits, sizes, written = zip(*found, strict=True)
    rows = tuple(range(1, len(found) + 1))
    return (
        Values(np.array(scores), rows, answers=written),
        Values(np.array(bits), rows, sizes=np.array(sizes, dtype=np.float64)),
    )
