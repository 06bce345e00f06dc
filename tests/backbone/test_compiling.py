import logging
from typing import Any

import pytest
import torch

from corarec.backbone.compiling import compiler_at_hand, forget_compiled, uncompiled


@pytest.mark.skipif(torch.cuda.is_available(), reason="the compiler of a GPU comes with torch")
def test_no_compiler_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with caplog.at_level(logging.WARNING):
        assert not compiler_at_hand()
    assert len(caplog.messages) == 1
    assert "no C++ compiler no-such-compiler" in caplog.messages[0]
    monkeypatch.setenv("CXX", "sh")
    assert compiler_at_hand()
    assert len(caplog.messages) == 1


def test_within_the_block_nothing_is_compiled_and_behind_it_all_is() -> None:
    compiled: list[object] = []

    def backend(graph: Any, example_inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    double = torch.compile(lambda x: 2 * x, backend=backend)
    one = torch.ones(2)
    with uncompiled():
        with uncompiled():
            assert double(one).tolist() == [2, 2]
        double(one)
        assert compiled == []
    double(one)
    assert len(compiled) == 1
    with pytest.raises(ZeroDivisionError), uncompiled():
        raise ZeroDivisionError
    double(torch.ones(2, 3, dtype=torch.float64))
    assert len(compiled) == 2


def test_models_of_earlier_trainings_leave_a_later_one_its_compiler() -> None:
    class Block(torch.nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size  # guarded on, as what differs between two language models is

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.size

    def compiled(size: int) -> int:
        """Return how many graphs were made for a model that comes now."""
        graphs = []

        def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
            graphs.append(graph)
            return graph.forward

        block = Block(size)
        block.compile(backend=backend)
        block(torch.ones(2))
        return len(graphs)

    with torch._dynamo.config.patch(recompile_limit=2):
        forget_compiled()
        assert [compiled(size) for size in (2, 3, 4, 5)] == [1, 1, 0, 0]
        forget_compiled()
        assert compiled(6) == 1
    forget_compiled()
