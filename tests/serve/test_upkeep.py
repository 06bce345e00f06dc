"""What is old goes, unless the clock was set."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from corarec.serve.settings import ServeSettings
from corarec.serve.upkeep import DAY, Upkeep
from corarec.serve.writes import Expire


def test_a_clock_that_is_set_ahead_makes_nothing_old(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    noted: list[Expire] = []
    kept = {"keep_events_days": 10, "keep_shown_days": 20}
    settings = ServeSettings.parse({"run": "run"} | kept, "the test")
    writer = SimpleNamespace(note=noted.append)
    follower = SimpleNamespace(number=7)
    service: Any = SimpleNamespace(settings=settings, writer=writer, follower=follower)
    upkeep, now = Upkeep(service), time.time()
    upkeep.expire()
    monkeypatch.setattr(time, "time", lambda: now + 400 * DAY)
    upkeep.expire()
    assert len(noted) == 1
    assert noted[0].events_before == pytest.approx(now - 10 * DAY, abs=60)
    assert noted[0].shown_before == pytest.approx(now - 20 * DAY, abs=60)
    assert "went ahead by 9600.0 hours" in caplog.text
    for back in (-400 * DAY, 0.0):
        monkeypatch.setattr(time, "time", lambda back=back: now + back)
        upkeep.expire()
    assert [expire.events_before for expire in noted[1:]] == [
        pytest.approx(now - 410 * DAY, abs=60),
        pytest.approx(now - 10 * DAY, abs=60),
    ]
    # Whom an earlier round left without events, once everybody has read that.
    assert [expire.emptied_until for expire in noted] == [-1, 7, 7]
