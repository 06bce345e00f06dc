"""Tables into which users are folded, by the one of MF."""

import math

import numpy as np
import pytest
import torch

from corarec.cf.factors.mf import MF
from corarec.cf.registry import CF_MODELS
from corarec.testing import cf_world


@pytest.fixture(scope="module")
def fitted() -> MF:
    kind = CF_MODELS["mf"]
    options = {"embedding_size": 4, "batch_size": 32, "init_std": 0.1, "max_epochs": 40}
    model = kind(kind.config_class.model_validate(options))
    model.fit(cf_world.checkerboard(), seed=1)
    assert isinstance(model, MF)
    return model


def test_the_measured_firmness_is_kept_and_one_that_is_none_refused(fitted: MF) -> None:
    tensors = fitted.tensors()
    assert float(tensors["firmness"]) > 0
    again = MF(fitted._options)
    again.restore(tensors)
    assert again.prior.penalty.tolist() == fitted.prior.penalty.tolist()
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="a firmness of"):
            MF(fitted._options).restore(tensors | {"firmness": torch.tensor([wrong])})


def test_a_model_of_an_earlier_version_folds_with_the_plain_firmness(fitted: MF) -> None:
    tensors = fitted.tensors()
    del tensors["firmness"]
    old = MF(fitted._options)
    old.restore(tensors)
    plain = old.plain_prior.penalty * old.plain_firmness
    assert old.prior.penalty.tolist() == plain.tolist()


def test_of_the_grid_the_firmness_is_the_one_by_which_users_score_as_fitted(fitted: MF) -> None:
    rows = cf_world.train_rows()
    strangers = {user + 100: told for user, told in rows.items()}
    wanted = fitted.score(cf_world.everything(list(rows)))

    def distance(firmness: float) -> float:
        tensors = fitted.tensors() | {"firmness": torch.tensor([firmness], dtype=torch.float64)}
        model = MF(fitted._options)
        model.restore(tensors)
        found = model.knowing(cf_world.feedback_of(strangers))
        return float(np.square(found.score(cf_world.everything(list(strangers))) - wanted).mean())

    kept = float(fitted.tensors()["firmness"])
    assert distance(kept) < min(distance(kept * 100), distance(kept / 100))


def test_a_new_item_is_placed_by_who_likes_it_and_rows_of_unknown_items_say_nothing(
    fitted: MF,
) -> None:
    new = cf_world.NUM_ITEMS + 1
    evens = {user: [*rows, (new, 1)] for user, rows in cf_world.train_rows().items()}
    evens = {user: rows for user, rows in evens.items() if user % 2 == 0}
    learned = fitted.extended(cf_world.feedback_of(evens), new)
    scores = learned.score(cf_world.pairs_of([2, 4, 3, 5], [new] * 4))
    assert scores[:2].min() > scores[2:].max()
    nothing = fitted.knowing(cf_world.feedback_of({40: [(new, 1)]}))
    assert nothing.score(cf_world.pairs_of([40], [3])) == fitted.score(cf_world.pairs_of([40], [3]))
