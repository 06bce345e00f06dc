import logging
from typing import Any

import pytest
import torch

from corarec.backbone.compiling import compiler_at_hand, uncompiled


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
