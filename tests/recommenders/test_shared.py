"""Logits by a shared beginning equal those of whole prompts: every way, every architecture."""

import importlib.util
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from corarec.backbone.attention import NotSharedError
from corarec.backbone.last_position import LastPosition
from corarec.recommenders.shared import CACHE, KEYS, PromptSharing, common_tokens
from corarec.score.batches import BATCH_PAIRS, Batch


def _contract() -> Any:
    path = Path(__file__).parents[1] / "adapter" / "test_architectures.py"
    spec = importlib.util.spec_from_file_location("contract", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONTRACT = _contract()


class Answers(PromptSharing):
    """A language model with late activation, as far as sharing goes."""

    def __init__(self, model: Any, late: bool) -> None:
        self.model = model
        self.late = late

    @property
    def takes_positions(self) -> bool:
        return True

    def before_pairs(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = (
            self.model.disable_adapter() if self.late else nullcontext()
        )
        return context

    def model_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"input_ids": batch["input_ids"]}

    def read(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        if not self.late:
            return self.model_input(**batch)
        positions = torch.arange(batch["input_ids"].shape[1])
        active = positions >= batch["title_start"][:, None]
        return self.model_input(**batch) | {"cf_vectors": batch["vectors"], "cf_active": active}

    def answer_logits(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None = None,
        last: torch.Tensor | None = None,
        **extra: Any,
    ) -> torch.Tensor:
        output = self.model(
            input_ids=input_ids, attention_mask=attention_mask, **({"use_cache": False} | extra)
        )
        places = torch.full_like(input_ids[:, 0], -1) if last is None else last
        logits: torch.Tensor = output.logits[torch.arange(len(places)), places, 7]
        return logits


def _batch(rows: int = 7, title_at: int = 9) -> Batch:
    """Return prompts of one beginning and of titles of several lengths."""
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 50, (rows, 16), generator=rng)
    mask = torch.ones_like(ids)
    starts = torch.full((rows,), title_at)
    beginning = ids[0, :title_at].clone()
    for row in range(rows):
        shift = row % 3
        ids[row, :shift], mask[row, :shift] = 0, 0
        ids[row, shift : shift + title_at] = beginning
        starts[row] += shift
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "title_start": starts,
        "vectors": torch.randn(rows, 8, generator=rng),
    }


def _plain(system: Answers, batch: Batch) -> torch.Tensor:
    mask = batch["attention_mask"]
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    extra = {} if "bloom" in type(system.model).__name__.lower() else {"position_ids": positions}
    return system.answer_logits(attention_mask=mask, **extra, **system.read(**batch))


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("way", [KEYS, CACHE])
@pytest.mark.parametrize("model_type", CONTRACT.CASES)
def test_every_architecture(model_type: str, way: str, late: bool) -> None:
    model = CONTRACT._backbone(model_type)
    if late:
        model = get_peft_model(model, CONTRACT._config()).eval()
        rng = torch.Generator().manual_seed(2)
        for name, parameter in model.named_parameters():
            if "cora_projection" in name:
                parameter.data.normal_(generator=rng)
    system, batch = Answers(model, late), _batch()
    # One row differs before its title, too, as where a tokenizer glues it to what stands before.
    batch["input_ids"][4, 1 + 8] = 5
    with torch.inference_mode():
        expected = _plain(system, batch)
        shared = system.shared_logits(batch, way)
    if way == KEYS and model_type in CONTRACT.OWN_ATTENTION | CONTRACT.SEES_A_WINDOW:
        assert shared is None
        return
    assert shared is not None
    assert expected.std() > 0.05
    torch.testing.assert_close(shared, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("model_type", CONTRACT.CASES)
def test_the_last_position_of_every_architecture(model_type: str, late: bool) -> None:
    """With an increment on all tokens, or on the last ones; what cannot be cut stays as it is."""
    model = get_peft_model(CONTRACT._backbone(model_type), CONTRACT._config()).eval()
    rng = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "cora_projection" in name:
            parameter.data.normal_(generator=rng)
    system, batch = Answers(model, late=True), _batch()
    if not late:
        batch["title_start"] = torch.zeros_like(batch["title_start"])
    with torch.inference_mode():
        expected = _plain(system, batch)
        with torch.inference_mode(mode=False), model.disable_adapter():
            try:
                last = LastPosition(model.get_base_model())
            except NotSharedError:
                assert model_type in CONTRACT.OWN_ATTENTION
                return
        assert model_type not in CONTRACT.OWN_ATTENTION
        with last.only():
            found = _plain(system, batch)
        again = _plain(system, batch)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(again, expected)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2", "bloom"])
def test_every_beginning_is_read_once(model_type: str) -> None:
    """Two beginnings among seven rows."""
    model = get_peft_model(CONTRACT._backbone(model_type), CONTRACT._config()).eval()
    rng = torch.Generator().manual_seed(2)
    for name, parameter in model.named_parameters():
        if "cora_projection" in name:
            parameter.data.normal_(generator=rng)
    system, batch = Answers(model, late=True), _batch()
    for row in (1, 4, 5):
        shift = int(batch["title_start"][row]) - 9
        batch["input_ids"][row, shift : shift + 9] += 1
    read: list[int] = []
    with torch.inference_mode():
        expected = _plain(system, batch)
        system.answers_by_beginning(batch)  # with the trial
        model.get_input_embeddings().register_forward_pre_hook(
            lambda module, inputs: read.append(inputs[0].numel())
        )
        found = system.answers_by_beginning(batch)
    if model_type in CONTRACT.OWN_ATTENTION | CONTRACT.SEES_A_WINDOW:
        assert found is None
        return
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert read == [2 * 9, 7 * 7]


def test_beginnings_that_every_row_has_to_itself_are_not_read_apart() -> None:
    system, batch = Answers(CONTRACT._backbone("llama"), late=False), _batch()
    batch["input_ids"][torch.arange(7), batch["title_start"] - 9] = torch.arange(10, 17)
    with torch.inference_mode():
        assert system.answers_by_beginning(batch) is None


def test_beginnings_with_soft_vectors_of_their_own_are_not_read_together() -> None:
    class Soft(Answers):
        def soft_vectors(self, batch: Batch) -> dict[str, torch.Tensor]:
            return {"user": batch["vectors"][:, None]}

    system, batch = Soft(CONTRACT._backbone("llama"), late=False), _batch()
    batch["user_positions"] = batch["title_start"][:, None] - 3
    with torch.inference_mode():
        assert system.answers_by_beginning(batch) is None
        batch["vectors"] = batch["vectors"][:1].expand(7, -1)
        assert system.answers_by_beginning(batch) is not None
        batch["vectors"] = torch.randn(7, 8)
        batch["user_positions"] = batch["title_start"][:, None] + 1
        assert system.answers_by_beginning(batch) is not None


def test_common_tokens_end_before_the_first_difference_and_the_title() -> None:
    batch = _batch()
    assert common_tokens(batch, {}) == 9
    batch["input_ids"][1, 1 + 4] += 1
    assert common_tokens(batch, {}) == 4
    batch["input_ids"][1, 1] += 1
    assert common_tokens(batch, {}) == 0


def test_common_tokens_end_before_soft_vectors_that_differ() -> None:
    batch = _batch()
    padding = 16 - batch["attention_mask"].sum(dim=1)
    batch["user_positions"] = 3 + padding[:, None]
    batch["item_positions"] = 6 + padding[:, None]
    same, other = torch.ones(7, 1, 4), torch.randn(7, 1, 4)
    assert common_tokens(batch, {"user": same, "item": same}) == 9
    assert common_tokens(batch, {"user": same, "item": other}) == 6
    assert common_tokens(batch, {"user": other, "item": other}) == 3
    assert common_tokens(batch, {"elsewhere": other}) == 9


def test_one_prompt_that_is_the_beginning_of_another() -> None:
    """The last token of a prompt is never shared: its answer is asked for."""
    ids = torch.tensor([[0, 0, 5, 6, 7], [5, 6, 7, 8, 9]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.tensor([[0, 0, 1, 1, 1], [1] * 5]),
        "title_start": torch.tensor([5, 3]),
    }
    assert common_tokens(batch, {}) == 2


def test_the_model_reads_the_beginning_once_for_any_number_of_rows() -> None:
    model = CONTRACT._backbone("llama")
    system, batch = Answers(model, late=False), _batch(200)
    read: list[tuple[int, ...]] = []
    with torch.inference_mode():
        system.shared_logits(batch, KEYS)  # with the trial
        model.get_input_embeddings().register_forward_pre_hook(
            lambda module, inputs: read.append(tuple(inputs[0].shape))
        )
        for way in (KEYS, CACHE):
            read.clear()
            system.shared_logits(batch, way)
            assert read[0] == (1, 9)
            assert sum(rows for rows, _ in read[1:]) == 200
            # Of a copied cache there is room for fewer rows.
            assert (max(rows for rows, _ in read) > BATCH_PAIRS) == (way == KEYS)
            assert max(width for _, width in read[1:]) == 7


@pytest.mark.parametrize("way", [KEYS, CACHE])
def test_rows_of_like_length_go_together_and_a_long_one_by_itself(way: str) -> None:
    """A pass for each length, or the width of the longest for all, costs several times as much."""
    model = CONTRACT._backbone("llama")
    system, few = Answers(model, late=False), _batch(60)
    rng = torch.Generator().manual_seed(0)
    behind = torch.randint(3, 50, (60, 100), generator=rng)
    ids = torch.cat([few["input_ids"], behind], dim=1)
    mask = torch.cat([few["attention_mask"], torch.ones_like(behind)], dim=1)
    rolled = [row if n == 5 else row.roll(100) for n, row in enumerate(ids)]
    mask = torch.stack([row if n == 5 else row.roll(100) for n, row in enumerate(mask)])
    mask[torch.arange(60) != 5, :100] = 0
    starts = few["title_start"] + torch.tensor([0 if n == 5 else 100 for n in range(60)])
    batch = few | {
        "input_ids": torch.stack(rolled),
        "attention_mask": mask,
        "title_start": starts,
    }
    read: list[tuple[int, ...]] = []
    with torch.inference_mode():
        expected = _plain(system, batch)
        system.shared_logits(batch, way)  # with the trial
        model.get_input_embeddings().register_forward_pre_hook(
            lambda module, inputs: read.append(tuple(inputs[0].shape))
        )
        found = system.shared_logits(batch, way)
    assert read == [(1, 9), (8, 105), (52, 7)]
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_beginning_of_a_few_tokens_is_not_worth_it() -> None:
    system = Answers(CONTRACT._backbone("llama"), late=False)
    with torch.inference_mode():
        assert system.shared_logits(_batch(title_at=4), KEYS) is not None
        assert system.shared_logits(_batch(title_at=2), KEYS) is None
