"""Fit a CF model on a dataset: the one place where the two meet."""

import math
from pathlib import Path

import numpy as np
from pydantic import Field

from corarec.cf.base import CFModel
from corarec.cf.choice import CFChoice
from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.identity import KIND
from corarec.cf.report import FitReport, WatchFit, unwatched
from corarec.data.dataset import Dataset
from corarec.errors import ConfigError
from corarec.files import real_place
from corarec.locks import locked_output
from corarec.ownership import check_inputs_survive, check_replaceable, paths_in
from corarec.types import BoolArray, IntArray


class FitConfig(CFChoice):
    """Which CF model to fit, and on how much of the training split."""

    train_until: float = Field(default=1.0, gt=0, le=1)
    """Fit on this earliest share of the training rows by time only. A second stage trained on the
    later rows then meets vectors that have not seen their labels."""


def fit_cf(
    dataset: Dataset,
    config: FitConfig,
    *,
    seed: int = 0,
    output: Path | None = None,
    watch: WatchFit = unwatched,
) -> tuple[CFModel, FitReport]:
    """Fit a CF model on the training split, chosen by the AUC on the whole validation split.

    Parameters
    ----------
    dataset
        The prepared dataset.
    config
        Model, options and share of the training rows.
    seed
        Seed of everything random in the fit.
    output
        Folder to save the model to. A slow model's fit that was interrupted goes on from
        `<output>.checkpoint.pt` when called again with the same arguments.
    watch
        Hears of every epoch and of the result; `corarec.progress.watch_fits` shows them.

    Raises
    ------
    ConfigError
        What stands at `output` (a file that the model is made of, or anything but a CF model as
        corarec wrote it) would be lost, or the model cannot honour the dataset's knowledge policy.
    DataError
        A split is empty or has one class only.
    TrainingError
        The loss is not finite.
    ArtifactError
        The checkpoint beside `output` is damaged or belongs to another fit.
    InUseError
        Another process fits a model for `output`.
    """
    model = config.build()
    checkpoint = None
    if output is not None:
        output = real_place(output)
        check_inputs_survive(output, paths_in(model.config.model_dump()))
        check_replaceable(output, KIND)
        checkpoint = output.with_name(f"{output.name}.checkpoint.pt")
    rows = dataset.rows("train")
    cutoff = None
    model.check_policy(dataset.policy)
    if config.train_until < 1 and dataset.policy.policy != "train":
        raise ConfigError(
            f"train_until={config.train_until:g} came with knowledge: {dataset.policy.words()}, "
            "under which no training row sees labels of its own time anyway. Leave train_until "
            "out."
        )
    if config.train_until < 1:
        times = dataset.interactions["timestamp"].to_numpy()[rows]
        cutoff = cutoff_time(times, config.train_until)
        rows = rows[times <= cutoff]
    valid = dataset.pairs("valid")
    data = FitData(
        train=TrainingPairs.of(
            dataset.pairs(rows), dataset.labels(rows).astype(np.float64), dataset.log
        ),
        train_labels=dataset.labels(rows),
        valid=TrainingPairs.of(valid, np.full(len(valid), np.nan), dataset.log),
        valid_labels=dataset.labels("valid"),
        num_users=dataset.num_users,
        num_items=dataset.num_items,
        users=dataset.user_vocabulary,
        items=dataset.item_vocabulary,
        fingerprint=dataset.fingerprint,
        policy=dataset.policy,
        log=dataset.log,
        earlier=dataset.earlier_log,
        train_stars=dataset.stars(rows),
        item_table=dataset.items,
    )
    with locked_output(output), watch(config.model) as progress:
        report = model.fit(data, seed, checkpoint, progress.epoch)
        progress.done(report)
    model.report = report = report.model_copy(update={"trained_until": cutoff})
    model.dataset = dataset.fingerprint
    if output is not None:
        model.save(output)
    return model, report


def cutoff_time(times: IntArray, share: float) -> int:
    """Return the time at which the earliest `share` of the rows ends, rows of that second included.

    `times: [N]` in UTC seconds; `share` in (0, 1].
    """
    return int(np.sort(times)[math.ceil(share * len(times)) - 1])


def seen_rows(dataset: Dataset, report: FitReport) -> BoolArray:
    """Return which rows of the dataset the CF model was fitted on: [N]."""
    seen = np.zeros(len(dataset), dtype=np.bool_)
    seen[dataset.rows("train")] = True
    if report.trained_until is not None:
        seen &= dataset.interactions["timestamp"].to_numpy() <= report.trained_until
    return seen
