"""One writing thread: what many clients write at once is one transaction."""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from corarec.serve.metrics import Metrics
from corarec.serve.problems import Problem
from corarec.serve.store import Store, StoreUnavailableError
from corarec.serve.writes import Expire, Shown, Write

log = logging.getLogger(__name__)

TOGETHER = 500
"""Writes of one transaction."""
WAITING = 10_000
"""Writes that may wait."""
RETRY_SECONDS = 2


class Writer:
    """The thread that writes to a store.

    A write whose future has a result is durable.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._waiting: queue.Queue[tuple[Write, Future[Any]] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self.trouble: str | None = None
        """Why the last write failed; None where it did not."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Write what waits, and end; after so many seconds without it."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
            self._thread.join(timeout=seconds)

    def submit(self, write: Write) -> Future[Any]:
        """Queue a write; the future fails with a `Problem` where the store does not take it.

        Raises
        ------
        Problem
            503: too many wait.
        """
        future: Future[Any] = Future()
        try:
            self._waiting.put_nowait((write, future))
        except queue.Full:
            raise unavailable("too many writes are waiting") from None
        return future

    def note(self, shown: Shown | Expire) -> None:
        """Queue a write that nobody waits for; it may be lost, and is counted then."""
        try:
            self.submit(shown).add_done_callback(self._count_lost)
        except Problem:
            self._metrics.shown_lost.inc()

    def _count_lost(self, future: Future[Any]) -> None:
        if future.exception() is not None:
            self._metrics.shown_lost.inc()

    def _run(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            together = [first]
            last = False
            while len(together) < TOGETHER and not last:
                try:
                    one = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if one is None:
                    last = True
                else:
                    together.append(one)
            self._write(together)
            if last:
                return

    def _write(self, together: Sequence[tuple[Write, Future[Any]]]) -> None:
        started = time.monotonic()
        try:
            results = self._store.write([write for write, _ in together])
        except StoreUnavailableError as error:
            if self.trouble is None:
                log.error("the store takes no writes: %s", error)  # noqa: TRY400
            self.trouble = str(error)
            self._metrics.store_up.set(0)
            for _, future in together:
                _fail(future, unavailable(str(error)))
        except Exception as error:
            if len(together) > 1:
                for one in together:
                    self._write([one])
                return
            log.exception("a write failed")
            _fail(together[0][1], error)
        else:
            if self.trouble is not None:
                log.warning("the store takes writes again")
            self.trouble = None
            self._metrics.store_up.set(1)
            self._metrics.store_seconds.observe(time.monotonic() - started)
            for (_, future), result in zip(together, results, strict=True):
                with suppress(InvalidStateError):
                    future.set_result(result)


def unavailable(why: str) -> Problem:
    """Return the problem of a store that takes no writes."""
    return Problem(
        503,
        "store_unavailable",
        f"The store does not take this now ({why}). Nothing that was acknowledged is lost. Send "
        "it again later.",
        retry_after=RETRY_SECONDS,
    )


def _fail(future: Future[Any], error: Exception) -> None:
    with suppress(InvalidStateError):
        future.set_exception(error)
