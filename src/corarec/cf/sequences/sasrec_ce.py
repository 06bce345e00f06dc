"""`sasrec-ce`: SASRec trained to tell the next liked item from the whole catalogue."""

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from corarec.cf.data import FitData
from corarec.cf.report import EpochRecord, FitCourse, OnEpoch, auc
from corarec.cf.sequences.cross_entropy import catalogue_cross_entropy
from corarec.cf.sequences.network import SASRecNetwork, known_sequences
from corarec.cf.sequences.sasrec import SASRec, SASRecConfig
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.state import FitState
from corarec.errors import DataError
from corarec.types import Config, IntArray

_ROWS_OF_AUC = 10_000
_ROWS_AT_ONCE = 512


class SASRecCEConfig(SASRecConfig):
    """SASRec with cross-entropy over the catalogue (arXiv 2309.07602), for ranking."""

    max_length: int = Field(default=50, gt=0)
    """How many liked items make a sequence; longer ones are cut into several."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's step size, constant."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Adam's L2 penalty."""
    batch_size: int = Field(default=64, gt=0)
    """Sequences per step."""
    max_epochs: int = Field(default=200, gt=0)
    """Passes over the sequences at most."""
    patience: int = Field(default=10, gt=0)
    """Stop after this many epochs in which the liked validation items did not get likelier."""


class SASRecCE(SASRec):
    """SASRec whose loss is the cross-entropy of the next liked item among all items of train.

    Every position of a sequence is an example. The best epoch is that in which the liked validation
    items are likeliest, after what was liked before them. Network, vectors and score are those of
    `sasrec`; the score puts items in order and is no logit of its own.
    """

    name: ClassVar[str] = "sasrec-ce"
    config_class: ClassVar[type[Config]] = SASRecCEConfig

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Train with Adam; an interrupted fit resumes from `checkpoint`.

        Raises
        ------
        DataError
            No user liked two items in train.
        TrainingError
            The loss is not finite.
        """
        options = self._options
        generator = torch.Generator().manual_seed(seed)
        network = self._network = self._new_network(data.num_items)
        network.start(data.train, generator)
        inputs, targets = training_sequences(data, options.max_length)
        watched = _Watched(data, network)
        fit = FitState.begin(
            network,
            generator,
            Checkpointer.of(checkpoint, self.config, seed, data),
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            told={"best_auc": 0.5},
        )
        progress = fit.progress
        while fit.goes_on(options.max_epochs, options.patience):
            network.train()
            total, examples = 0.0, 0
            for rows in torch.randperm(len(inputs), generator=generator).split(options.batch_size):
                loss, count = next_item_loss(network, inputs[rows], targets[rows])
                total, examples = total + fit.step(loss) * count, examples + count
            progress.add(network.eval(), watched.likelihood())
            if on_epoch is not None:
                train_auc, valid_auc = watched.aucs(self)
                if progress.best_epoch == progress.epoch:
                    fit.told["best_auc"] = valid_auc
                on_epoch(
                    EpochRecord(
                        epoch=progress.epoch,
                        loss=total / examples,
                        train_auc=train_auc,
                        valid_auc=valid_auc,
                        best_valid_auc=fit.told["best_auc"],
                    )
                )
            fit.keep()
        fit.end()
        return FitCourse(
            best_epoch=progress.best_epoch,
            epochs=progress.epoch,
            train_auc=watched.aucs(self)[0],
        )


class _Watched:
    """The rows that tell how far the training is."""

    def __init__(self, data: FitData, network: SASRecNetwork) -> None:
        liked = np.flatnonzero(
            (data.valid_labels == 1) & network.known.numpy()[data.valid.item_ids]
        )
        rows = liked[_some(len(liked), _ROWS_OF_AUC)]
        histories = data.valid.histories.take(rows)
        known = network.known.numpy()
        self._network = network
        self._sequences = torch.from_numpy(known_sequences(histories, network.max_length, known))
        self._items = torch.from_numpy(data.valid.item_ids[rows])
        # Some of each label, so that there is an AUC.
        by_label = [np.flatnonzero(data.train_labels == label) for label in (0, 1)]
        some = [rows[_some(len(rows), _ROWS_OF_AUC // 2)] for rows in by_label]
        if len(data.train) <= _ROWS_OF_AUC:
            some = [np.arange(len(data.train))]
        self._train = np.sort(np.concatenate(some))
        self._data = data

    @torch.inference_mode()
    def likelihood(self) -> float:
        """Return the geometric mean of the probabilities of the liked validation items.

        With none to ask about it is a half, so that the first epoch is kept.
        """
        if not len(self._items):
            return 0.5
        table, targets = _catalogue(self._network), _columns(self._network, self._items)
        total = 0.0
        for rows in torch.arange(len(targets)).split(_ROWS_AT_ONCE):
            logits = self._network.encode(self._sequences[rows]) @ table.T
            total += F.cross_entropy(logits, targets[rows], reduction="sum").double().item()
        return math.exp(-total / len(targets))

    def aucs(self, model: SASRecCE) -> tuple[float, float]:
        """Return the AUC on (some of) the training rows and on the validation rows."""
        data, rows = self._data, self._train
        train = auc(data.train_labels[rows], model.score(data.train.take(rows)))
        return train, auc(data.valid_labels, model.score(data.valid))


def training_sequences(data: FitData, max_length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sequences of liked items, and after each position the item that was liked next.

    Two of [S, max_length], zeros on the left. A user's likes are cut from the end into pieces, of
    which each ends where the next begins.

    Raises
    ------
    DataError
        No user liked two items.
    """
    liked = np.flatnonzero(data.train_labels == 1)
    if data.train.times is not None:
        liked = liked[np.argsort(data.train.times[liked], kind="stable")]
    liked = liked[np.argsort(data.train.user_ids[liked], kind="stable")]
    users, items = data.train.user_ids[liked], data.train.item_ids[liked]
    follows = np.flatnonzero(users[1:] == users[:-1])  # the next item is of the same user
    if not len(follows):
        raise DataError(
            f"No user of the {len(liked)} likes in train has two of them, so no item comes next "
            "after another. Choose a CF model that does without sequences."
        )
    last = np.searchsorted(users, users[follows], side="right") - 2
    from_end = last - follows
    piece, place = from_end // max_length, max_length - 1 - from_end % max_length
    _, rows = np.unique(np.stack([users[follows], piece]), axis=1, return_inverse=True)
    sequences: list[IntArray] = []
    for shift in (0, 1):
        found = np.zeros((int(rows.max()) + 1, max_length), dtype=np.int64)
        found[rows.reshape(-1), place] = items[follows + shift]
        sequences.append(found)
    return torch.from_numpy(sequences[0]), torch.from_numpy(sequences[1])


def next_item_loss(
    network: SASRecNetwork, inputs: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, int]:
    """Return the mean cross-entropy of the next items and how many there are."""
    states = network.encode_all(inputs)
    wanted = targets[:, -states.shape[1] :]
    there = wanted > 0
    targets = _columns(network, wanted[there])
    return catalogue_cross_entropy(states[there], _catalogue(network), targets), len(targets)


def _catalogue(network: SASRecNetwork) -> torch.Tensor:
    """Return the embeddings of the items of train: [K, d]."""
    return network.items.weight[network.known]


def _columns(network: SASRecNetwork, items: torch.Tensor) -> torch.Tensor:
    """Return the places of items among those of train: [N]."""
    return (network.known.cumsum(0) - 1)[items]


def _some(count: int, most: int) -> IntArray:
    """Return so many places of `count` at most, evenly spread."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).astype(np.int64))
