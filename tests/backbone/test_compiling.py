import logging

import pytest
import torch

from corarec.backbone.compiling import compiler_at_hand


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
