import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from corarec.errors import TrainingError
from corarec.gradients import FiniteGradients


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_the_step(value: float) -> None:
    model = torch.nn.Linear(3, 2)
    model(torch.ones(1, 3)).sum().backward()
    arguments, control = TrainingArguments(output_dir="unused", use_cpu=True), TrainerControl()
    check = FiniteGradients("the.rate")
    check.on_pre_optimizer_step(arguments, TrainerState(), control, model=model)
    assert model.bias.grad is not None
    model.bias.grad[1] = value
    with pytest.raises(TrainingError, match=r"became (nan|inf) at step 5\. .*Lower the\.rate"):
        check.on_pre_optimizer_step(arguments, TrainerState(global_step=4), control, model=model)
