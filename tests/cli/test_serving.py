"""What is typed after `corarec serve` is what is served."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined
from tests.cli.conftest import corarec

from corarec.serve.settings import NO_LIMITS, ServeSettings

OPTIONS: dict[str, tuple[list[object], Any]] = {
    "run": (["run"], Path("run")),
    "data": (["--data", "moved"], Path("moved")),
    "beside": (["--beside", "other"], Path("other")),
    "host": (["--host", "0.0.0.0"], "0.0.0.0"),
    "port": (["--port", 0], 0),
    "workers": (["--workers", 3], 3),
    "store": (["--store", "sqlite:////store"], "sqlite:////store"),
    "adopt_store": (["--adopt-store"], True),
    "keys": (["--keys", "keys.txt"], Path("keys.txt")),
    "allow_origins": (
        ["--allow-origin", "https://a.example", "--allow-origin", "https://b.example"],
        ("https://a.example", "https://b.example"),
    ),
    "allow_hosts": (
        ["--allow-host", "a.example", "--allow-host", "b.example"],
        ("a.example", "b.example"),
    ),
}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeSettings]:
    """Return what would be served; nothing is."""
    told: list[ServeSettings] = []
    place = "corarec.serve.server"
    monkeypatch.setattr(f"{place}.check", lambda settings: settings)
    monkeypatch.setattr(f"{place}.bind", lambda settings: contextlib.nullcontext())
    monkeypatch.setattr(f"{place}.address", lambda listening: "http://127.0.0.1:1")
    monkeypatch.setattr(f"{place}.serve", lambda settings, listening: told.append(settings))
    return told


def test_every_option_and_every_limit_reaches_the_settings(served: list[ServeSettings]) -> None:
    fields = ServeSettings.model_fields
    assert OPTIONS.keys() == NO_LIMITS
    limits = {
        name: 7 if fields[name].default is None else fields[name].default + 1
        for name in fields.keys() - NO_LIMITS
    }
    words = [word for typed, _ in OPTIONS.values() for word in typed]
    words += [word for name, value in limits.items() for word in ("--set", f"{name}={value}")]
    assert corarec("serve", *words) == 0
    (settings,) = served
    wanted = {name: value for name, (_, value) in OPTIONS.items()} | limits
    assert settings.model_dump() == wanted
    assert settings.limits() == limits
    defaults = {name: field.default for name, field in fields.items()}
    assert [name for name in wanted if wanted[name] == defaults[name]] == []
    assert defaults["run"] is PydanticUndefined


def test_an_option_is_not_told_as_a_limit(
    served: list[ServeSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NO_LIMITS:
        assert corarec("serve", "run", "--set", f"{name}=x") == 1
        assert name in capsys.readouterr().err
    assert not served
