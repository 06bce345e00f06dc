"""One pair's increment on all that the plain model reads, as long as a block lasts."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import get_peft_model

from corarec.adapter import held_pair
from corarec.errors import DataError


@pytest.fixture
def adapted(
    make_llama: Callable[..., Any],
    make_config: Callable[..., Any],
    randomize: Callable[..., None],
) -> Any:
    model = get_peft_model(make_llama(), make_config())
    randomize(model)
    return model.eval()


def vectors(model: Any) -> torch.Tensor:
    size = model.base_model.cora_generator["default"].config.vector_size
    return torch.linspace(-1, 1, 2 * size)


def test_any_number_of_rows_is_under_the_pair_and_text_is_generated(adapted: Any) -> None:
    ids = torch.arange(1, 8)[None]
    pair = vectors(adapted)
    with torch.inference_mode(), held_pair(adapted.base_model, pair) as model:
        one, three = model(ids).logits, model(ids.expand(3, -1)).logits
        text = model.generate(input_ids=ids, max_new_tokens=2, do_sample=False)
        wanted = adapted.generate(
            input_ids=ids, cf_vectors=pair[None], max_new_tokens=2, do_sample=False
        )
    for row in three:
        torch.testing.assert_close(row[None], one, atol=1e-5, rtol=0)
    assert torch.equal(text, wanted)


def test_another_thread_sees_nothing_of_it(adapted: Any) -> None:
    found: list[bool] = []

    def look() -> None:
        found.append(adapted.base_model.binding.increment is None)

    with held_pair(adapted.base_model, vectors(adapted)):
        assert adapted.base_model.binding.increment is not None
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == [True]
    assert adapted.base_model.binding.increment is None


def test_an_error_inside_leaves_nothing_bound(adapted: Any) -> None:
    with pytest.raises(KeyError), held_pair(adapted.base_model, vectors(adapted)):
        raise KeyError
    assert adapted.base_model.binding.increment is None
    with (
        pytest.raises(DataError, match="has the shape"),
        held_pair(adapted.base_model, torch.zeros(3)),
    ):
        pass
