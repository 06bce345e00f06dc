"""`statistics`: counts under a knowledge policy, as vectors and as a score."""

from copy import copy
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from corarec.cf.base import CFModel, not_fitted
from corarec.cf.counting.rows import Asked, KnownRows
from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.report import FitCourse, OnEpoch, auc
from corarec.cf.statistics.config import StatisticsConfig
from corarec.cf.statistics.content import content_of
from corarec.cf.statistics.early import Early, Folded, fit_early
from corarec.cf.statistics.features import Features
from corarec.cf.statistics.followed import Followed
from corarec.cf.statistics.heads import Heads, Labelled, fit_heads, some_rows
from corarec.cf.statistics.sides import CLIP, Sides
from corarec.cf.vectors import VectorFamily, VectorTable, known_ids
from corarec.data.history import NEVER_OVER, KnowledgePolicy
from corarec.errors import DataError
from corarec.types import Config, FloatArray, IntArray, Log, Pairs

ROWS_TO_LEARN_FROM = 2**20
"""The most training rows on which the score is fitted: so few numbers want no more."""


class Statistics(CFModel):
    """Counts, rates and residuals that see no label which the knowledge policy hides.

    The score is a logistic regression on the standardised statistics, boosted trees, or the mean of
    both logits, fitted on the training rows and chosen on the validation rows. The user half of a
    pair's vectors holds the statistics of the user, the item half those of the item, standardised
    over the training rows and clipped at 5; the shorter one ends in zeros. What the two say of each
    other (content, neighbours) is the pair's match: the statistics divided by their deviation, 0
    for no evidence. A user or item of whom nothing is known has zeros.
    """

    name: ClassVar[str] = "statistics"
    config_class: ClassVar[type[Config]] = StatisticsConfig

    def __init__(self, config: StatisticsConfig) -> None:
        super().__init__(config)
        self._options = config
        self._log: Log | None = None
        self._sizes = (0, 0)
        self._content: FloatArray = np.zeros((0, 0))
        self._early: Early | None = None
        self._spread: FloatArray = np.zeros((0, 0))
        self._heads: Heads | None = None
        self._without: list[Heads] = []
        """of each fold of users, fitted without it"""
        self._policy: KnowledgePolicy | None = None
        self._features: tuple[Log, Features] | None = None
        self._followed: Followed | None = None
        """What is kept from one answer of a service to the next; None: this model serves none."""
        self._named: Sides | None = None
        self._last: tuple[tuple[object, ...], FloatArray] | None = None

    @property
    def policies(self) -> tuple[str, ...]:
        """Those under which a training row does not see its own label."""
        return ("snapshot", "streaming")

    @property
    def takes(self) -> Takes:
        """With `streaming` rows: all counts run. With `snapshot` the history of each pair.

        Labels from after a snapshot are hidden until the next one is made.
        """
        streams = self._policy is not None and self._policy.policy == "streaming"
        return "rows" if streams else "history"

    def knowing(self, feedback: Feedback) -> "Statistics":
        """Return this model for the new users, too; what they did is in the log of the pairs."""
        if self.takes != "rows":
            super().knowing(feedback)
        model = copy(self)
        model._sizes = max(self._sizes[0], feedback.num_users), self._sizes[1]
        # Shared: what is made for one user's answer serves the next one's.
        self._followed = model._followed = self._followed or Followed()
        return model

    def extended(self, feedback: Feedback, num_items: int) -> "Statistics":
        """Return this model over more rows, users and items, whose content is not known."""
        log, rows = self._fitted_log(), feedback.rows
        others = np.flatnonzero(~np.isin(log.user_ids, feedback.users))
        told = rows.take(np.flatnonzero(feedback.current))
        model = copy(self)
        model._log = log.take(others).joined(told)
        size = max(self._sizes[1], num_items)
        model._sizes = max(self._sizes[0], feedback.num_users), size
        model._content = _padded(self._content, size + 1)
        model._early = None if self._early is None else self._early.padded(size)
        model._features = model._followed = None
        return model

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Count all rows, then fit the score; it takes minutes at most, so no checkpoint.

        Raises
        ------
        ConfigError
            The earlier rows or a column of genres are asked for and not there.
        DataError
            The rows have no times, or no training row has any row before its period.
        """
        times = data.train.times
        if times is None or data.log is None:
            raise DataError(
                "The CF model 'statistics' needs the times of the rows, and none came. Fit through "
                "corarec.cf.fit_cf, or give the pairs times and FitData a log."
            )
        options = self._options
        self._policy = data.policy
        self._sizes = data.num_users, data.num_items
        pairs, labels, stars = data.train, data.train_labels, data.train_stars
        if stars is None:
            stars = np.full(len(pairs), np.nan)
        self._log = _log(pairs.user_ids, pairs.item_ids, labels, times, stars)
        self._content = content_of(data.item_table, options.genres, data.num_items)
        self._early = self._features = self._named = None
        if "early" in options.families:
            self._early = fit_early(data.earlier, *self._sizes, options, seed)
        rows = some_rows(len(pairs), ROWS_TO_LEARN_FROM, seed)
        learns = data.policy.to_learn_from(times[rows])
        learned = rows[learns]
        labels = data.train_labels[learned]
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"Only {len(learned)} training rows, of {len(np.unique(labels))} labels, lie after "
                f"the first period ({data.policy.words()}), and nothing is known to those in it. "
                "Choose a shorter knowledge.period, or knowledge: streaming."
            )
        of_valid = self._statistics(data.valid)
        train_pairs = data.train.take(learned)
        known = self._statistics(train_pairs)
        spread = known.std(axis=0)
        self._spread = np.stack([known.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)])
        train = Labelled(self._standardised(known), labels)
        valid = Labelled(self._standardised(of_valid), data.valid_labels)
        self._heads = fit_heads(train, valid, options, seed)
        folds = data.train.user_ids[learned] % max(options.folds, 1)
        self._without = [
            fit_heads(train.take(folds != fold), valid, options, seed)
            for fold in range(options.folds)
            if len(np.unique(labels[folds != fold])) == 2
        ]
        if len(self._without) < options.folds:
            raise DataError(
                f"Of the {options.folds} folds of users one holds all training rows of a label. "
                "Set cf.options.folds to 0, or to another number."
            )
        # While the statistics of these pairs are still kept.
        scores = np.empty(len(rows))
        scores[learns] = self.score(train_pairs)
        scores[~learns] = self.score(data.train.take(rows[~learns]))
        return FitCourse(
            train_auc=auc(data.train_labels[rows], scores),
            valid_auc=auc(data.valid_labels, self._heads.logits(valid.features)),
        )

    @property
    def vector_size(self) -> int:
        """How many statistics the user or the item has, whichever are more."""
        return self._sides.vector_size

    @property
    def match_size(self) -> int:
        """How many statistics are of both together."""
        return len(self._sides.match)

    @property
    def families(self) -> tuple[VectorFamily, ...]:
        """Its families of statistics."""
        return self._sides.families

    @property
    def _sides(self) -> Sides:
        # Kept apart: they are the same whatever rows may be known.
        if self._named is None:
            self._named = Sides(self._of(None).names)
        return self._named

    def statistic_names(self) -> list[tuple[str, str]]:
        """Return of each statistic which side it is of (user, item or match), and its name: [F]."""
        return [(each.side, each.name) for each in self._sides.names]

    def statistics(self, pairs: Pairs) -> FloatArray:
        """Return the statistics of pairs as they are, by `statistic_names`: [N, F]."""
        return self._statistics(pairs)

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair; those of one user at one moment are kept once."""
        sides, asked = self._sides, self._asked(pairs)
        values = self._standardised(self._statistics(pairs))
        means = self._spread[0] / self._spread[1]
        return sides.table(asked, values, self._of(pairs).known(asked), means)

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the logits of the head: [N]; with folds those of one without a row's own user."""
        features = self._standardised(self._statistics(pairs))
        scores = self._fitted_heads().logits(features)
        if self._without and isinstance(pairs, TrainingPairs):
            folds = pairs.user_ids % len(self._without)
            for fold, heads in enumerate(self._without):
                own = np.flatnonzero(~np.isnan(pairs.own_labels) & (folds == fold))
                if len(own):
                    scores[own] = heads.logits(features[own])
        return scores

    def scores_by_head(self, pairs: Pairs) -> dict[str, FloatArray]:
        """Return the logits of the parts of the head, `lr` and `trees`: [N] each."""
        return self._fitted_heads().by_name(self._standardised(self._statistics(pairs)))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the training rows, the content of the items, and what was fitted."""
        log = self._fitted_log()
        rows = np.stack([log.user_ids, log.item_ids, log.labels, log.times], axis=1)
        tensors = {
            "rows": torch.from_numpy(rows),
            "sizes": torch.tensor(self._sizes),
            "content": torch.from_numpy(self._content),
            "spread": torch.from_numpy(self._spread),
            **self._fitted_heads().tensors(),
        }
        for fold, heads in enumerate(self._without):
            tensors |= {f"fold.{fold}.{name}": part for name, part in heads.tensors().items()}
        if self._early is not None:
            known = np.isfinite(log.stars)
            stars = np.stack([np.where(known, log.stars, 0.0), known], axis=1)
            tensors |= {"stars": torch.from_numpy(stars), **self._early.tensors()}
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over all of it; the knowledge policy is that of the report."""
        if self.report is None:
            raise ValueError("there is no report, which names the knowledge policy")
        self._policy = self.report.knowledge
        rows = tensors["rows"].numpy()
        if rows.ndim != 2 or rows.shape[1] != 4:
            raise ValueError("'rows' should be rows of (user, item, label, time)")
        users, items, labels, times = rows.T
        stars = np.full(len(rows), np.nan)
        if "early" in self._options.families:
            given, known = tensors["stars"].numpy().T
            stars[known > 0] = given[known > 0]
        self._log = _log(users, items, labels, times, stars)
        num_users, num_items = tensors["sizes"].tolist()
        self._sizes = num_users, num_items
        self._content = tensors["content"].numpy()
        if len(self._content) != num_items + 1:
            raise ValueError(f"the content is of {len(self._content) - 1} items, not {num_items}")
        self._early = None
        if "early" in self._options.families:
            self._early = Early.of(tensors, num_items)
        self._features = self._named = None
        width = len(self.statistic_names())
        self._spread = tensors["spread"].numpy()
        if self._spread.shape != (2, width):
            raise ValueError(f"what was fitted is not of {width} statistics")
        self._heads = Heads.of(tensors, width, self._options.head)
        self._without = []
        for fold in range(self._options.folds):
            start = f"fold.{fold}."
            part = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
            self._without.append(Heads.of(part, width, self._options.head))

    def _of(self, pairs: Pairs | None) -> Features:
        """Return what computes the statistics from the rows that may be known to these pairs."""
        log = self._fitted_log()
        if isinstance(pairs, TrainingPairs) and pairs.log is not None:
            log = pairs.log
            if self._followed is not None:
                return self._followed.of(log, self._sizes, self._made)
        if self._features is None or self._features[0] is not log:
            self._features = log, self._made(log)
        return self._features[1]

    def _made(self, log: Log) -> Features:
        assert self._policy is not None  # it is there with the log
        if self._followed is not None:
            # Of items that came after the fit nothing can be counted.
            known = np.flatnonzero(log.item_ids <= self._sizes[1])
            log = log if len(known) == len(log) else log.take(known)
        rows = KnownRows(log, *self._sizes)
        folded = None if self._early is None else Folded(self._early, log, *self._sizes)
        features = Features(rows, self._content, folded, self._options, self._policy)
        features.followed = self._followed
        return features

    def _asked(self, pairs: Pairs) -> Asked:
        self._fitted_log()
        until = pairs.known_until
        return Asked(
            users=known_ids(pairs.user_ids, self._sizes[0] + 1),
            items=known_ids(pairs.item_ids, self._sizes[1] + 1),
            until=np.full(len(pairs), NEVER_OVER) if until is None else until,
            histories=pairs.histories,
        )

    def _statistics(self, pairs: Pairs) -> FloatArray:
        """Return the statistics of pairs: [N, F]; those of the last pairs are kept.

        A system asks for the vectors of pairs and then for their scores.
        """
        features = self._of(pairs)
        asked = (features, pairs.user_ids, pairs.item_ids, pairs.histories, pairs.known_until)
        kept = self._last
        if kept is not None and all(old is new for old, new in zip(kept[0], asked, strict=True)):
            return kept[1]
        found = features.of(self._asked(pairs))
        found.setflags(write=False)
        self._last = asked, found
        return found

    def _standardised(self, values: FloatArray) -> FloatArray:
        mean, spread = self._spread
        return np.clip((values - mean) / spread, -CLIP, CLIP)

    def _fitted_heads(self) -> Heads:
        if self._heads is None:
            raise not_fitted(self)
        return self._heads

    def _fitted_log(self) -> Log:
        if self._log is None:
            raise not_fitted(self)
        return self._log


def _log(
    users: IntArray, items: IntArray, labels: IntArray, times: IntArray, stars: FloatArray
) -> Log:
    users, items, labels, times = map(np.ascontiguousarray, (users, items, labels, times))
    return Log(users, items, labels, times, stars)


def _padded(table: FloatArray, rows: int) -> FloatArray:
    return np.concatenate([table, np.zeros((rows - len(table), *table.shape[1:]))])
