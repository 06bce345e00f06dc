"""What every collaborative-filtering (CF) model is: row vectors and scores, fit, save, load."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from corarec.cf.data import FitData
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.identity import (
    IDENTITY_FILE,
    KIND,
    REPORT_FILE,
    TENSOR_FILE,
    Identity,
    check_files,
    digests,
    read_identity,
)
from corarec.cf.report import FitCourse, FitReport, OnEpoch, auc
from corarec.cf.vectors import VectorFamily, VectorTable
from corarec.data.history import KnowledgePolicy
from corarec.errors import ArtifactError, ConfigError, TrainingError
from corarec.files import atomic_directory, read_json, write_json
from corarec.types import Config, Fingerprint, FloatArray, Pairs

ROWS_AT_ONCE = 2**21
"""pairs whose vectors are held at once when a fit scores its rows"""
BOUND_TO = {
    "users": "users",
    "items": "items",
    "train": "training rows",
    "valid": "validation rows",
    "earlier": "rows from before train",
}
"""What of a dataset a CF model depends on. Titles it never reads, and test rows it must not."""


class CFModel(ABC):
    """A collaborative-filtering model: a frozen source of one vector per user half and item half.

    A model is made from its config, then fitted or loaded; before that, vectors and scores are an
    error.
    """

    name: ClassVar[str]
    """The registry name."""
    config_class: ClassVar[type[Config]]

    def __init__(self, config: Config) -> None:
        self.config = config
        self.report: FitReport | None = None
        self.dataset: Fingerprint | None = None
        """Which dataset it was fitted on, as `fit_cf` says it."""

    @property
    @abstractmethod
    def vector_size(self) -> int:
        """`d`, the size of one user's and of one item's vector."""

    @property
    def policies(self) -> tuple[str, ...]:
        """The knowledge policies that it can honour: `train`, as a rule.

        Under one that it names, a row's vectors and score depend on no label that the policy hides
        from the row.
        """
        return ("train",)

    @property
    def takes(self) -> Takes:
        """How the fitted model takes what people like and dislike later: not at all, as a rule."""
        return "nothing"

    def knowing(self, feedback: Feedback) -> "CFModel":
        """Return this model with some users as they are by all that is known of them.

        It is for models that take `rows`. The space stays as it is: item vectors do not move, and
        neither does any user whom the feedback does not name. A user whose rows all took part in
        the fit keeps the fitted vector; others are folded in by what their rows say, new ones as
        those that the fit knew. This model does not change, and shares its tables with the result.

        Raises
        ------
        ConfigError
            It does not take rows.
        """
        raise ConfigError(
            f"The CF model '{self.name}' cannot take feedback into its vectors. Use it as it was "
            "fitted, so that the prompt alone knows what came later."
        )

    def extended(self, feedback: Feedback, num_items: int) -> "CFModel":
        """Return a model of the same space that has learned feedback for good, to be saved.

        It knows `feedback.num_users` users and `num_items` items, new ones included; those of which
        nothing can be told have the zero vector. Where all that a model reads is the history of a
        pair, it is the model itself. This model does not change.

        Raises
        ------
        ConfigError
            It takes nothing.
        """
        if self.takes == "nothing":
            self.knowing(feedback)
        return self

    @property
    def match_size(self) -> int:
        """`p`, how many numbers its vectors say of user and item together; none, as a rule."""
        return 0

    @property
    def families(self) -> tuple[VectorFamily, ...]:
        """What its vectors are made up of; none where they are of one piece, as a rule."""
        return ()

    def check_policy(self, policy: KnowledgePolicy) -> None:
        """See that it can honour a knowledge policy.

        Raises
        ------
        ConfigError
            It cannot.
        """
        if policy.policy not in self.policies:
            raise ConfigError(
                f"The CF model '{self.name}' cannot honour the knowledge policy "
                f"'{policy.policy}': its vectors would show a row labels that the policy hides. It "
                f"can honour {' and '.join(self.policies)}. Set `knowledge` to that, or choose "
                "another model, such as statistics."
            )

    @abstractmethod
    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, each distinct vector once.

        Users and items that never occurred in training have the zero vector. A vector depends on
        its own pair alone (its ids, its history, its own training label), on no other pair.
        """

    @abstractmethod
    def score(self, pairs: Pairs) -> FloatArray:
        """Return the model's own logits that the user enjoys the item: [N]."""

    def fit(
        self,
        data: FitData,
        seed: int,
        checkpoint: Path | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> FitReport:
        """Learn from the training rows, choosing on the validation rows.

        Parameters
        ----------
        data
            The rows and labels, and how many users and items there are.
        seed
            The same seed on the same data gives the same model (at a fixed number of threads).
        checkpoint
            File to resume an interrupted fit from and to write its state to; models that take
            seconds ignore it.
        on_epoch
            Called after every epoch.

        Raises
        ------
        ConfigError
            It cannot honour the knowledge policy of the data.
        TrainingError
            The loss or a score is not finite.
        """
        self.check_policy(data.policy)
        started = time.perf_counter()
        course = self._fit(data, seed, checkpoint, on_epoch)
        train, valid = course.train_auc, course.valid_auc
        self.report = FitReport(
            seed=seed,
            best_epoch=course.best_epoch,
            epochs=course.epochs,
            train_auc=auc(data.train_labels, self._scores(data.train)) if train is None else train,
            valid_auc=auc(data.valid_labels, self._scores(data.valid)) if valid is None else valid,
            train_rows=len(data.train),
            knowledge=data.policy,
            seconds=time.perf_counter() - started,
        )
        return self.report

    def _scores(self, pairs: Pairs) -> FloatArray:
        """Return the score of every pair, some millions at a time: vectors take more than rows."""
        if len(pairs) <= ROWS_AT_ONCE:
            return self.score(pairs)
        starts = range(0, len(pairs), ROWS_AT_ONCE)
        pieces = [self.score(pairs.take(slice(row, row + ROWS_AT_ONCE))) for row in starts]
        return np.concatenate(pieces)

    @abstractmethod
    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Learn as `fit` says, and keep the best weights."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """Return everything that was learned, by name."""

    @abstractmethod
    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over what `tensors` of a model of the same config returned.

        Raises
        ------
        KeyError, ValueError, RuntimeError
            A tensor is missing, or does not have the shape that the config asks for.
        """

    def save(self, directory: Path) -> None:
        """Write config, report and tensors to a folder that appears whole or not at all.

        Raises
        ------
        ConfigError
            Something else than a CF model, as corarec wrote it, stands at `directory`.
        """
        with atomic_directory(directory, KIND) as temporary:
            self.write(temporary)
            identity = Identity(
                model=self.name,
                config=self.config.model_dump(mode="json"),
                dataset=self.dataset,
                files=digests(temporary),
            )
            write_json(temporary / IDENTITY_FILE, identity.model_dump(mode="json"))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a folder that `save` wrote.

        Raises
        ------
        ArtifactError
            The folder is missing, incomplete, damaged, or holds another model.
        """
        identity = read_identity(directory)
        if identity.model != cls.name:
            raise ArtifactError(
                f"{directory} holds a '{identity.model}' CF model, but a '{cls.name}' was asked "
                "for. Load it with corarec.cf.load_cf, which reads the kind from the folder."
            )
        check_files(directory, identity)
        try:
            model = cls(cls.config_class.model_validate(identity.config))
            model.report = FitReport.model_validate(read_json(directory / REPORT_FILE))
        except ValidationError as error:
            raise ArtifactError(
                f"{directory} does not fit this version of corarec: {error}. Fit the model again."
            ) from error
        model.dataset = identity.dataset
        model.read(directory)
        return model

    def write(self, directory: Path) -> None:
        """Write report and tensors into an existing folder."""
        if self.report is None:
            raise not_fitted(self)
        write_json(directory / REPORT_FILE, self.report.model_dump(mode="json"))
        tensors = {key: value.contiguous() for key, value in self.tensors().items()}
        save_file(tensors, directory / TENSOR_FILE)

    def read(self, directory: Path) -> None:
        """Take over what was learned from a folder that `write` filled."""
        path = directory / TENSOR_FILE
        try:
            tensors = load_file(path)
        except FileNotFoundError:
            raise ArtifactError(
                f"{path} does not exist, so {directory} is not complete. Fit the model again."
            ) from None
        except (SafetensorError, OSError) as error:
            raise ArtifactError(
                f"{path} is cut off or damaged ({error}). Fit the model again."
            ) from error
        try:
            self.restore(tensors)
        except (KeyError, ValueError, RuntimeError, TypeError, IndexError) as error:
            raise ArtifactError(
                f"{path} is no '{self.name}' checkpoint of the config beside it ({error}). "
                "Fit the model again."
            ) from error


def check_dataset(model: CFModel, directory: Path, dataset: Fingerprint) -> None:
    """See that a loaded model was fitted on this dataset, or its vectors go to the wrong people.

    Raises
    ------
    ArtifactError
        It was fitted on another one, or does not say on which.
    """
    advice = f"Fit it on this dataset: `corarec fit-cf DATA --model {model.name} --output FOLDER`."
    if model.dataset is None:
        raise ArtifactError(
            f"The CF model in {directory} does not say which dataset it was fitted on (an earlier "
            f"version wrote it, or it was fitted on bare rows), so its vectors could go to the "
            f"wrong users and items. {advice}"
        )
    if differing := model.dataset.differences(dataset, list(BOUND_TO)):
        raise ArtifactError(
            f"The CF model in {directory} was fitted on another dataset: its "
            f"{' and '.join(BOUND_TO[name] for name in differing)} are not those of this one, so "
            f"its vectors would go to the wrong users and items. {advice}"
        )


def check_knowledge(model: CFModel, directory: Path, policy: KnowledgePolicy) -> None:
    """See that a loaded model was fitted under this knowledge policy.

    Raises
    ------
    ArtifactError
        It was fitted under another one, so that its vectors know more or less than they may.
    """
    fitted = KnowledgePolicy() if model.report is None else model.report.knowledge
    if fitted != policy:
        raise ArtifactError(
            f"The CF model in {directory} was fitted with knowledge: {fitted.words()}, and "
            f"{policy.words()} is wanted. Set `knowledge` to that of the model, or fit it again "
            f"(`corarec fit-cf DATA --model {model.name} --knowledge {policy.policy} ...`)."
        )


def not_fitted(model: CFModel) -> TrainingError:
    """Return the error of a model that is asked for something before it was fitted."""
    return TrainingError(
        f"This '{model.name}' CF model has not been fitted. Call fit, or load a fitted one with "
        "corarec.cf.load_cf."
    )
