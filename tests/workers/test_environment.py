"""Threads and GPUs of several processes."""

import os

import pytest

from corarec.workers.environment import usable_cpus, visible_devices


@pytest.mark.parametrize(
    ("given", "devices"), [("", []), ("-1", []), ("2, 0", ["2", "0"]), ("GPU-a", ["GPU-a"])]
)
def test_the_devices_are_those_that_the_user_left_visible(
    given: str, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_devices() == devices


def test_there_is_at_least_one_cpu() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
