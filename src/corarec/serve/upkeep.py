"""What a service does while nobody asks: it follows the store, and removes what is old."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from corarec.errors import CorarecError
from corarec.serve import memory
from corarec.serve.engine import Engine
from corarec.serve.follow import Follower
from corarec.serve.metrics import Metrics
from corarec.serve.queue import ScoringQueue
from corarec.serve.settings import ServeSettings
from corarec.serve.writer import Writer
from corarec.serve.writes import Expire

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""So often it is looked whether the store or the CF model changed while nobody asks."""
RETENTION_SECONDS = 3_600.0
ANSWERED_DAYS = 2
"""So long a request with a key may be sent again."""
DAY = 86_400
JUMP_SECONDS = 3_600.0
"""A clock that went ahead by more since the start was set, and does not say what is old."""


class Looked(Protocol):
    """What is looked after."""

    settings: ServeSettings
    metrics: Metrics
    follower: Follower
    writer: Writer
    queue: ScoringQueue

    @property
    def engines(self) -> Sequence[Engine]:
        """The runs that are served."""

    def trouble(self) -> str | None:
        """Return why it is not ready; None where it is."""


class Upkeep:
    """Looks after a service as long as that goes on."""

    def __init__(self, service: Looked) -> None:
        self._service = service
        self._started = time.time() - _ticks()
        self._expired: float | None = None
        self._number = -1
        """Of the last change that was read when what is old was removed last."""

    async def go_on(self) -> None:
        """Follow the store while nobody asks, remove what is old, give back what is free."""
        service = self._service
        while True:
            try:
                if self._expired is None or _ticks() - self._expired > RETENTION_SECONDS:
                    self._expired = _ticks()
                    self.expire()
                await service.follower.catch_up()
                for engine in service.engines:
                    await self._refresh(engine)
                await asyncio.to_thread(memory.give_back)
            except Exception:
                # It goes on as long as the service does.
                log.exception("looking after the service failed")
            service.metrics.ready.set(0 if service.trouble() else 1)
            await asyncio.sleep(LOOK_SECONDS)

    def expire(self) -> None:
        """Have what is old removed."""
        now = time.time()
        ahead = now - _ticks() - self._started
        if ahead > JUMP_SECONDS:
            log.warning(
                "the clock went ahead by %.1f hours since the start: until it is set back, or the "
                "service is started anew, nothing is removed as old",
                ahead / 3_600,
            )
            return
        settings = self._service.settings
        events = settings.keep_events_days
        before = None if events is None else int(now - events * DAY)
        answered = int(now - ANSWERED_DAYS * DAY)
        shown = int(now - settings.keep_shown_days * DAY)
        self._service.writer.note(Expire(shown, before, answered, self._number))
        self._number = self._service.follower.number

    async def _refresh(self, engine: Engine) -> None:
        """Take what `corarec refresh` made last into use; what fails leaves things as they are."""
        try:
            newest = await asyncio.to_thread(engine.live.newest_refresh)
            if newest == engine.refreshed:
                return
            engine.refreshed = newest
            done = self._service.queue.control(partial(engine.swap, newest))
            await asyncio.wrap_future(done)
        except CorarecError as error:
            log.error("the refresh is not taken into use: %s", error)  # noqa: TRY400
        except Exception:
            log.exception("the refresh is not taken into use")


def _ticks() -> float:
    """Return seconds that go on whatever the clock is set to, while the machine sleeps, too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
