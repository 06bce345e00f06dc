"""The contract of every CF model, as tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from corarec.cf.base import CFModel
from corarec.cf.data import FitData
from corarec.cf.identity import REPORT_FILE, TENSOR_FILE
from corarec.cf.registry import CF_MODELS, load_cf
from corarec.cf.report import auc
from corarec.errors import ArtifactError, ConfigError, DataError, TrainingError
from corarec.testing import cf_world
from corarec.types import IntArray, Pairs


class CFConformance:
    """What every CF model promises; a subclass names one and options that suit the toy world."""

    model: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    learns_groups = True
    """Whether the family can tell the two groups of users and items."""
    score_is_product = True
    """Whether the score is the dot product of the two vectors."""
    knowledge: ClassVar[str] = "train"
    """The knowledge policy under which all but the look ahead is tested, which is under all that
    the model names."""

    fold_tolerance: ClassVar[float] = 0.5
    """Of a model that takes rows: how far the scores of a user who is folded in as a stranger, by
    all rows of the fit, lie from the fitted ones, as a share of the spread of these."""

    @staticmethod
    def prepare(options: dict[str, Any], data: FitData, folder: Path) -> dict[str, Any]:
        """Return the options of a fit; a model that reads files writes them here."""
        return options

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def one_thread(cls) -> Iterator[None]:
        """Compute with one thread: repeatable to the bit, and quicker on models this small."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @pytest.fixture(scope="class")
    @classmethod
    def checkerboard(cls) -> FitData:
        """Return the training and validation rows of the toy world."""
        return cf_world.checkerboard(cls.knowledge)

    @pytest.fixture(scope="class")
    @classmethod
    def held_out(cls) -> tuple[Pairs, IntArray]:
        """Return the test rows of the toy world and their labels."""
        return cf_world.held_out(cls.knowledge)

    @pytest.fixture(scope="class")
    @classmethod
    def build(
        cls, checkerboard: FitData, tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[[], CFModel]:
        folder = tmp_path_factory.mktemp("inputs")
        options = cls.prepare(cls.options, checkerboard, folder)
        kind = CF_MODELS[cls.model]
        return lambda: kind(kind.config_class.model_validate(options))

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, build: Callable[[], CFModel], checkerboard: FitData) -> CFModel:
        model = build()
        model.fit(checkerboard, seed=1)
        return model

    def test_learns_what_is_there(self, fitted: CFModel, held_out: tuple[Pairs, IntArray]) -> None:
        pairs, labels = held_out
        # Who says that it cannot learn this must not do so either: the flag would hide a fault.
        assert (auc(labels, fitted.score(pairs)) > 0.95) == self.learns_groups

    def test_report_states_the_auc_of_the_kept_weights(
        self, fitted: CFModel, checkerboard: FitData
    ) -> None:
        report = fitted.report
        assert report is not None
        train = auc(checkerboard.train_labels, fitted.score(checkerboard.train))
        valid = auc(checkerboard.valid_labels, fitted.score(checkerboard.valid))
        assert (report.train_auc, report.valid_auc) == pytest.approx((train, valid), abs=1e-6)
        assert report.train_rows == len(checkerboard.train)

    def test_unknown_users_and_items_have_the_zero_vector(
        self, fitted: CFModel, checkerboard: FitData
    ) -> None:
        last_user, last_item = checkerboard.num_users, checkerboard.num_items
        unknown = cf_world.pairs_of([0, last_user, last_user + 7], [0, last_item, last_item + 7])
        users, items = fitted.vector_table(unknown).lookup(np.arange(3))
        assert torch.equal(users, torch.zeros(3, fitted.vector_size))
        assert torch.equal(items, torch.zeros(3, fitted.vector_size))
        assert np.isfinite(fitted.score(unknown)).all()

    def test_known_halves_are_not_zero(
        self, fitted: CFModel, held_out: tuple[Pairs, IntArray]
    ) -> None:
        table = fitted.vector_table(held_out[0])
        assert table.users.abs().sum(1).min() > 0
        assert table.items.abs().sum(1).min() > 0

    def test_vectors_are_float32_and_kept_once(
        self, fitted: CFModel, held_out: tuple[Pairs, IntArray]
    ) -> None:
        pairs, _ = held_out
        twice = pairs.take(np.tile(np.arange(len(pairs)), 2))
        table, doubled = fitted.vector_table(pairs), fitted.vector_table(twice)
        assert table.users.dtype == table.items.dtype == torch.float32
        assert table.users.shape[1] == table.items.shape[1] == fitted.vector_size
        assert len(doubled) == 2 * len(table)
        assert doubled.users.shape == table.users.shape
        assert doubled.items.shape == table.items.shape
        assert set(table.user_rows) == set(range(len(table.users)))
        assert len(table.items) <= len(set(pairs.item_ids.tolist()))

    def test_score_is_the_product_where_the_family_says_so(
        self, fitted: CFModel, held_out: tuple[Pairs, IntArray]
    ) -> None:
        pairs, _ = held_out
        users, items = fitted.vector_table(pairs).lookup(np.arange(len(pairs)))
        products = (users * items).sum(1).numpy()
        is_product = np.allclose(fitted.score(pairs), products, atol=1e-5)
        assert is_product or not self.score_is_product

    def test_scores_are_float64(self, fitted: CFModel, held_out: tuple[Pairs, IntArray]) -> None:
        scores = fitted.score(held_out[0])
        assert scores.dtype == np.float64
        assert scores.shape == (len(held_out[0]),)

    def test_a_row_stands_alone(self, fitted: CFModel, held_out: tuple[Pairs, IntArray]) -> None:
        pairs, _ = held_out
        row = np.array([5])
        together, alone = fitted.vector_table(pairs), fitted.vector_table(pairs.take(row))
        for half, single in zip(together.lookup(row), alone.lookup(np.array([0])), strict=True):
            torch.testing.assert_close(half, single, atol=1e-6, rtol=1e-5)
        np.testing.assert_allclose(
            fitted.score(pairs)[row], fitted.score(pairs.take(row)), atol=1e-6
        )

    def test_later_rows_do_not_move_earlier_ones(self, fitted: CFModel) -> None:
        world_rows = cf_world.world_rows()
        changed = {key: column.copy() for key, column in world_rows.items()}
        place = np.arange(len(changed["user"])) % 18
        later = place >= 8
        changed["item"][later] = 1 + changed["item"][later] % 20
        changed["label"][later] = 1 - changed["label"][later]
        before, after = (cf_world.all_pairs(rows, self.knowledge) for rows in (world_rows, changed))
        earlier = np.flatnonzero(~later)
        old, new = before.take(earlier), after.take(earlier)
        np.testing.assert_allclose(fitted.score(old), fitted.score(new), atol=1e-6)
        everything = np.arange(len(earlier))
        old_users, _ = fitted.vector_table(old).lookup(everything)
        new_users, _ = fitted.vector_table(new).lookup(everything)
        torch.testing.assert_close(old_users, new_users, atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize("policy", ["train", "snapshot", "streaming"])
    def test_a_row_sees_no_label_that_its_policy_hides(
        self, build: Callable[[], CFModel], policy: str
    ) -> None:
        model, data = build(), cf_world.checkerboard(policy)
        if policy not in model.policies:
            with pytest.raises(ConfigError, match=f"cannot honour the knowledge policy '{policy}'"):
                model.fit(data, seed=1)
            return
        model.fit(data, seed=1)
        rows = cf_world.world_rows()
        for moment in np.unique(rows["time"])[1::4]:
            late = rows["time"] >= moment
            changed = rows | {"label": np.where(late, 1 - rows["label"], rows["label"])}
            # Under `train` a row's own label is its model's affair, see `TrainingPairs`.
            seen = np.flatnonzero(
                rows["time"] < moment if policy == "train" else rows["time"] <= moment
            )
            old, new = (cf_world.all_pairs(r, policy).take(seen) for r in (rows, changed))
            # Not to the bit: a running sum rounds by what stands beside it.
            np.testing.assert_allclose(model.score(old), model.score(new), atol=1e-9)
            tables = model.vector_table(old), model.vector_table(new)
            everything = np.arange(len(seen))
            for halves in zip(*(table.lookup(everything) for table in tables), strict=True):
                torch.testing.assert_close(*halves, atol=1e-6, rtol=0)
            first, second = (table.matches for table in tables)
            if first is not None and second is not None:
                torch.testing.assert_close(first, second, atol=1e-6, rtol=0)

    def test_feedback_is_taken_or_refused(self, fitted: CFModel) -> None:
        feedback = cf_world.feedback_of({40: [(3, 1)]})
        if fitted.takes != "rows":
            with pytest.raises(ConfigError, match="cannot take feedback into its vectors"):
                fitted.knowing(feedback)
            return
        everybody = cf_world.everything([5, 40])
        before = fitted.score(everybody)
        knowing = fitted.knowing(feedback)
        np.testing.assert_array_equal(fitted.score(everybody), before)
        if self.knowledge == "train":
            same = everybody.user_ids == 5
            np.testing.assert_array_equal(knowing.score(everybody)[same], before[same])
            users, _ = knowing.vector_table(everybody).lookup(np.flatnonzero(~same)[:1])
            assert users.abs().sum() > 0

    def test_folded_in_by_the_rows_of_the_fit_a_stranger_scores_as_the_user(
        self, fitted: CFModel
    ) -> None:
        if fitted.takes != "rows" or self.knowledge != "train":
            return  # this model folds nobody in
        rows = cf_world.train_rows()
        strangers = {user + 100: told for user, told in rows.items()}
        knowing = fitted.knowing(cf_world.feedback_of(strangers))
        wanted = fitted.score(cf_world.everything(list(rows)))
        found = knowing.score(cf_world.everything(list(strangers)))
        distance = np.sqrt(np.square(found - wanted).mean()) / wanted.std()
        assert distance <= self.fold_tolerance

    def test_a_user_without_new_rows_keeps_the_fitted_vector(self, fitted: CFModel) -> None:
        if fitted.takes != "rows" or self.knowledge != "train":
            return  # this model folds nobody in
        rows = cf_world.train_rows()
        knowing = fitted.knowing(cf_world.feedback_of(rows, fitted=True))
        everybody = cf_world.everything(list(rows))
        tables = knowing.vector_table(everybody), fitted.vector_table(everybody)
        each = np.arange(len(everybody))
        for halves in zip(*(table.lookup(each) for table in tables), strict=True):
            torch.testing.assert_close(*halves, atol=1e-6, rtol=1e-6)

    def test_a_like_and_a_dislike_move_a_user_apart(self, fitted: CFModel) -> None:
        if fitted.takes != "rows" or self.knowledge != "train":
            return  # this model folds nobody in
        item, scores = 4, []
        for label in (1, 0):
            told = {2: [*cf_world.train_rows()[2], (item, label)], 40: [(item, label)]}
            feedback = cf_world.feedback_of(told, fitted=[True] * (len(told[2]) - 1))
            pairs = cf_world.pairs_of([2, 40], [item, item])
            scores.append(fitted.knowing(feedback).score(pairs))
        # Codes of bits may need more than one row to change.
        assert (scores[0] >= scores[1]).all()
        assert (scores[0] > scores[1]).any()

    def test_what_is_learned_for_good_stands_in_the_space_of_the_fit(
        self, fitted: CFModel, held_out: tuple[Pairs, IntArray], tmp_path: Path
    ) -> None:
        old, new_user, new_item = cf_world.train_rows()[2], 40, cf_world.NUM_ITEMS + 1
        told = {2: [*old, (new_item, 1)], new_user: [(2, 1), (3, 0), (new_item, 1)]}
        feedback = cf_world.feedback_of(told, fitted=[True] * len(old))
        try:
            learned = fitted.extended(feedback, new_item)
        except ConfigError:
            assert fitted.takes == "nothing"
            return
        moments = self.knowledge != "train"
        touched = {item for rows in told.values() for item, _ in rows}
        items = [item for item in range(1, cf_world.NUM_ITEMS) if item not in touched]
        others = held_out[0] if moments else cf_world.pairs_of([5] * len(items), items)
        before = fitted.score(others)
        fitted.extended(feedback, new_item)
        np.testing.assert_array_equal(fitted.score(others), before)
        sizes = (fitted.vector_size, fitted.match_size, fitted.name)
        assert (learned.vector_size, learned.match_size, learned.name) == sizes
        if not moments:
            # Whom and what nothing was told of stay where they were.
            np.testing.assert_allclose(learned.score(others), before, rtol=1e-5, atol=1e-5)
        asked = others if moments else cf_world.pairs_of([2, 5, new_user], [new_item] * 3)
        scores = learned.score(asked)
        assert np.isfinite(scores).all()
        if fitted.takes == "rows" and not moments:
            users, _ = learned.vector_table(asked).lookup(np.array([2]))
            assert users.abs().sum() > 0
        learned.save(tmp_path / "learned")
        np.testing.assert_array_equal(load_cf(tmp_path / "learned").score(asked), scores)

    def test_save_and_load_give_the_same_bits(
        self, fitted: CFModel, held_out: tuple[Pairs, IntArray], tmp_path: Path
    ) -> None:
        pairs, _ = held_out
        fitted.save(tmp_path / "model")
        loaded = load_cf(tmp_path / "model")
        assert type(loaded) is CF_MODELS[self.model]
        assert (loaded.config, loaded.report) == (fitted.config, fitted.report)
        assert np.array_equal(loaded.score(pairs), fitted.score(pairs))
        assert torch.equal(loaded.vector_table(pairs).users, fitted.vector_table(pairs).users)
        assert torch.equal(loaded.vector_table(pairs).items, fitted.vector_table(pairs).items)

    def test_same_seed_same_model_and_no_global_randomness(
        self, fitted: CFModel, build: Callable[[], CFModel], checkerboard: FitData
    ) -> None:
        state = torch.get_rng_state()
        again = build()
        again.fit(checkerboard, seed=1)
        assert torch.equal(torch.get_rng_state(), state)
        for key, tensor in fitted.tensors().items():
            assert torch.equal(again.tensors()[key], tensor), key

    def test_without_fit_there_is_an_error(
        self, build: Callable[[], CFModel], held_out: tuple[Pairs, IntArray], tmp_path: Path
    ) -> None:
        model = build()
        for call in (model.score, model.vector_table):
            with pytest.raises(TrainingError, match="has not been fitted"):
                call(held_out[0])
        with pytest.raises(TrainingError, match="has not been fitted"):
            model.save(tmp_path / "model")
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_folder_is_an_error(self, fitted: CFModel, tmp_path: Path) -> None:
        fitted.save(tmp_path / "cut")
        tensors = tmp_path / "cut" / TENSOR_FILE
        tensors.write_bytes(tensors.read_bytes()[:-4])
        with pytest.raises(ArtifactError, match=r"model\.safetensors is cut off or damaged"):
            load_cf(tmp_path / "cut")
        tensors.unlink()
        with pytest.raises(ArtifactError, match="is not complete"):
            load_cf(tmp_path / "cut")
        fitted.save(tmp_path / "cut")
        (tmp_path / "cut" / REPORT_FILE).unlink()
        with pytest.raises(ArtifactError, match=r"report\.json does not exist"):
            load_cf(tmp_path / "cut")

    def test_negative_ids_are_an_error(self, fitted: CFModel) -> None:
        with pytest.raises(DataError, match="Row 1 has the id -3"):
            fitted.vector_table(cf_world.pairs_of([1, 2], [4, -3]))
