"""Labelled examples in the prompt: which training rows a pair is shown, and as what text.

A row is shown only to pairs that come after it: of the pair's own user by the order of the rows, of
others by time, strictly; and only where the policy of the data lets the pair know its label. Pairs
that somebody asks about come after all rows.
"""

import numpy as np

from corarec.backbone import Backbone
from corarec.data import Dataset
from corarec.data.history import NEVER_OVER
from corarec.prompts import PromptEncoder
from corarec.types import IntArray, Pairs

SEPARATOR = "\n\n"


class Shots:
    """The examples of every pair.

    They are drawn by the seed and the user: first from the user's own earlier training rows, then
    from those of all. In the prompt they stand in the order of time.

    Parameters
    ----------
    dataset
        Whose training rows are shown.
    count
        How many examples a prompt has, where there are so many rows.
    seed
        Of the draw.
    encoder
        Renders an example, without its answer.
    backbone
        How answers are spelled, and how many tokens an example has.
    """

    def __init__(
        self, dataset: Dataset, count: int, seed: int, encoder: PromptEncoder, backbone: Backbone
    ) -> None:
        self.dataset = dataset
        self.count = count
        self.seed = seed
        self._encoder = encoder
        self._answers = backbone.answers.texts
        self._tokenizer = backbone.tokenizer
        self._room = None if encoder.max_length is None else encoder.max_length // 2
        self._times = dataset.interactions["timestamp"].to_numpy().astype(np.int64)
        self._rows = dataset.rows("train")
        self._users = dataset.pairs(self._rows).user_ids
        self._in_time = self._rows[np.argsort(self._times[self._rows], kind="stable")]
        self._sorted_times = self._times[self._in_time]
        self._texts: dict[int, tuple[str, int]] = {}

    def of(self, pairs: Pairs) -> list[IntArray]:
        """Return the dataset's rows that each pair is shown, oldest first."""
        count = len(pairs)
        rows = np.full(count, len(self._times)) if pairs.rows is None else pairs.rows
        moments = np.full(count, NEVER_OVER) if pairs.times is None else pairs.times
        known_until = np.full(count, NEVER_OVER) if pairs.known_until is None else pairs.known_until
        # The order of rows tells rows of one second apart; whoever has none has the moment alone.
        until = known_until if pairs.rows is not None else np.minimum(known_until, moments)
        before = np.minimum(known_until, moments)
        each = zip(pairs.user_ids, rows, until, before, strict=True)
        return [self._of(*map(int, values)) for values in each]

    def fill(self, pairs: Pairs) -> list[str]:
        """Return the examples of each pair as text: [N].

        They take half of what the model reads at most; the oldest are left out first.
        """
        return ["".join(self._fitting(rows)) for rows in self.of(pairs)]

    def _of(self, user: int, row: int, until: int, before: int) -> IntArray:
        """Draw from the user's rows before `row` and a second, and others' before a second."""
        known = 1 <= user <= self.dataset.num_users
        random = np.random.default_rng((self.seed, user if known else 0))
        first, end = np.searchsorted(self._users, [user, user + 1]) if known else (0, 0)
        own = self._rows[first:end]
        own = own[(own < row) & (self._times[own] < until)]
        earlier = int(np.searchsorted(self._sorted_times, before, side="left"))
        if len(own) >= self.count:
            chosen = random.choice(own, self.count, replace=False)
        else:
            drawn = random.choice(earlier, min(earlier, self.count), replace=False)
            # Of the own rows too many may have been drawn, of others never too few.
            others = np.setdiff1d(self._in_time[drawn], own, assume_unique=True)
            chosen = np.concatenate([own, random.permutation(others)[: self.count - len(own)]])
        return chosen[np.lexsort((chosen, self._times[chosen]))]

    def _fitting(self, rows: IntArray) -> list[str]:
        texts, room = [], self._room
        for row in rows[::-1].tolist():
            text, tokens = self._text(row)
            if room is not None:
                room -= tokens
                if room < 0:
                    break
            texts.append(text)
        return texts[::-1]

    def _text(self, row: int) -> tuple[str, int]:
        """Return a row as an example, and how many tokens that is."""
        if row not in self._texts:
            (question,) = self._encoder.render(self.dataset.pairs(np.array([row])))
            yes, no = self._answers
            liked = bool(self.dataset.labels(np.array([row]))[0])
            text = f"{question}{yes if liked else no}{SEPARATOR}"
            ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            self._texts[row] = text, len(ids)
        return self._texts[row]
