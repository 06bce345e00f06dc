import pytest
from pydantic import ValidationError

from corarec.cf.choice import CFChoice
from corarec.cf.factors.mf import BiasedMF


def test_a_choice_builds_a_model_with_its_options() -> None:
    model = CFChoice(model="mf-b", options={"embedding_size": 3}).build()
    assert isinstance(model, BiasedMF)
    assert model.config.model_dump()["embedding_size"] == 3


def test_an_unknown_model_or_option_is_an_error() -> None:
    with pytest.raises(ValidationError, match="no CF model 'svd'; choose from mf, mf-b"):
        CFChoice(model="svd")
    with pytest.raises(ValidationError, match=r"embedding_siez\n.*Extra inputs"):
        CFChoice(model="mf", options={"embedding_siez": 3})


def test_a_mistake_in_a_component_is_an_error() -> None:
    components = [{"model": "mf"}, {"model": "rates", "options": {"smoothing": 0}}]
    with pytest.raises(ValidationError, match="greater than 0"):
        CFChoice(model="fused", options={"components": components})
