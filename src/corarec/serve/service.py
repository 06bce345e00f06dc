"""The service without HTTP: loading, the scoring thread, the store, draining."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from corarec.errors import CorarecError, DataError
from corarec.runs.live import Hit, Limits, LiveRun
from corarec.serve import memory
from corarec.serve.engine import Engine
from corarec.serve.follow import Follower
from corarec.serve.index import ItemIndex
from corarec.serve.jobs import Work, late
from corarec.serve.metrics import Metrics
from corarec.serve.opening import check_dataset, open_store, store_of
from corarec.serve.problems import Problem, unprocessable
from corarec.serve.queue import ScoringQueue
from corarec.serve.settings import ServeSettings
from corarec.serve.store import Changes, Store, StoreUnavailableError
from corarec.serve.upkeep import Upkeep
from corarec.serve.writer import Writer
from corarec.serve.writes import MOST_EVENTS, Shown, Write

Load = Callable[[], LiveRun]

log = logging.getLogger(__name__)

KEPT = Limits(events=1 << 40, events_per_user=MOST_EVENTS, items=1 << 21)
"""What the store takes counts: it refuses what is too much before it is acknowledged."""
STOP_SECONDS = 5.0


class Service:
    """A run that is served.

    Parameters
    ----------
    load, load_beside
        Open the run and the one to be shown beside it; called in a thread of their own.
    on_failure
        Called with the reason where it cannot be opened.
    """

    def __init__(
        self,
        settings: ServeSettings,
        metrics: Metrics | None = None,
        load: Load | None = None,
        load_beside: Load | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.failure: str | None = None
        """Why it cannot be started."""
        self._load = load or partial(LiveRun.open, settings.run, settings.data, limits=KEPT)
        if settings.beside is not None and load_beside is None:
            load_beside = partial(LiveRun.open, settings.beside, settings.data, limits=KEPT)
        self._load_beside = load_beside
        self._on_failure = on_failure or (lambda _: None)
        self._started = False
        self._drain_until: float | None = None
        self._background: list[asyncio.Task[None]] = []
        # One at a time: each takes long where there are many titles, and holds up all the others.
        self._search = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._searches = 0

    # ---- its life

    async def start(self) -> None:
        """Load in the background; until that is done nothing is ready."""
        self._background.append(asyncio.create_task(self._become_ready()))

    async def _become_ready(self) -> None:
        try:
            await asyncio.to_thread(self._open)
        except (CorarecError, StoreUnavailableError) as error:
            self.failure = str(error)
            log.error("it cannot be served: %s", error)  # noqa: TRY400
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            log.exception("it cannot be served")
        else:
            self._started = True
            log.info("ready")
            self.metrics.ready.set(1)
            self._background.append(asyncio.create_task(self._upkeep.go_on()))

        if self.failure is not None:
            self._on_failure(self.failure)

    def _open(self) -> None:
        settings = self.settings
        memory.keep_few_shapes()
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.store: Store = open_store(settings.store or store_of(settings.run))
        live = self._load()
        check_dataset(self.store, live.run.knowledge.fingerprint, adopt=settings.adopt_store)
        _warm_up(live)
        self.engine = Engine(live)
        self.beside: Engine | None = None
        if self._load_beside is not None:
            other = self._load_beside()
            self.engine.check_alike(other)
            _warm_up(other)
            self.beside = Engine(other)
        self.index = ItemIndex(live.run.knowledge.catalogue)
        self.queue = ScoringQueue(
            live,
            self.metrics,
            batch_tokens=settings.batch_tokens,
            queue_requests=settings.queue_requests,
            queue_pairs=settings.queue_pairs,
            stall_seconds=settings.deadline_seconds,
        )
        self.queue.start()
        self.writer = Writer(self.store, self.metrics)
        self.writer.start()
        self.follower = Follower(self.store, self._take)
        self.follower.read()
        self.metrics.store_up.set(1)
        self._upkeep = Upkeep(self)

    def _take(self, changes: Changes, reset: bool) -> None:
        self.index.change(changes.items, reset=reset)
        for engine in self.engines:
            self.queue.control(partial(engine.take, changes, reset=reset))

    @property
    def engines(self) -> list[Engine]:
        """The run, and the one beside it; both know the same of people and added items."""
        return [self.engine] if self.beside is None else [self.engine, self.beside]

    def drain(self) -> None:
        """Take no more requests; those in hand have `drain_seconds`. May be called by a signal."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + self.settings.drain_seconds
            log.info("draining")

    async def stop(self) -> None:
        """End everything; what is in the store stays."""
        opening = next(iter(self._background), None)
        if opening is not None and not opening.done():
            # Its thread cannot be stopped, and would go on to make what is closed here.
            await asyncio.wait([opening], timeout=self.settings.drain_seconds)
        for task in self._background:
            task.cancel()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        """Close what there is: the opening may have ended anywhere."""
        self._search.shutdown(wait=False, cancel_futures=True)
        if hasattr(self, "queue"):
            self.queue.stop()
        if hasattr(self, "writer"):
            self.writer.stop(STOP_SECONDS)
        if hasattr(self, "follower"):
            self.follower.stop()
        if hasattr(self, "store"):
            self.store.close()

    # ---- how it is

    def trouble(self) -> str | None:
        """Return why it is not ready; None where it is."""
        if self._drain_until is not None:
            return "draining: the service is being stopped"
        if self.failure is not None:
            return f"failed: {self.failure}"
        if self.loading:
            return "loading: the run is being opened"
        return self.hangs()

    @property
    def loading(self) -> bool:
        """Whether the run is being opened."""
        return not self._started and self.failure is None

    def about(self) -> dict[str, Any]:
        """Return what is served, as plain values: names of runs, not where they lie."""
        if not self._started:
            return {}
        beside = None if self.beside is None else self.beside.about | {"name": self.names[1]}
        return {"name": self.names[0]} | self.engine.about | {"beside": beside}

    def in_dataset(self, user: str) -> bool:
        """Return whether the dataset, or a refresh in use, knows a user."""
        self.check_open()
        return any(engine.live.knowledge.users.number(user) for engine in self.engines)

    @property
    def names(self) -> tuple[str, str]:
        """Names of the run and of the one beside it; two of the same name are told apart."""
        ours = run_name(self.settings.run)
        theirs = ours if self.settings.beside is None else run_name(self.settings.beside)
        return ours, f"{theirs} (2)" if theirs == ours else theirs

    def hangs(self) -> str | None:
        """Return why requests hang, None where they do not."""
        if not self._started:
            return None
        return self.queue.trouble()

    def store_state(self) -> str:
        """Return how the store is, in words without names of places."""
        if not self._started:
            return "unknown"
        if trouble := self.writer.trouble or self.follower.trouble:
            return f"unavailable: {trouble}"
        return "ok"

    def check_open(self) -> None:
        """See that requests are taken.

        Raises
        ------
        Problem
            503: it is loading, draining, or cannot be started.
        """
        if self._drain_until is not None or not self._started:
            raise Problem(503, "not_ready", f"{self.trouble()}.", retry_after=2)

    # ---- requests

    async def scored(
        self,
        start: Callable[[], Work],
        pairs: int,
        deadline: float,
        gone: Callable[[], Awaitable[None]],
    ) -> Any:
        """Have work done in the scoring thread with all that is known now, and return its result.

        Parameters
        ----------
        pairs
            What it costs, about.
        deadline
            By the monotonic clock.
        gone
            Returns when the client went away.

        Raises
        ------
        Problem
            The queue is full, the deadline has passed, the service stops, or what was asked for is
            not there.
        ClientGoneError
            The client went away; its place is free.
        """
        self.check_open()
        await self.follower.catch_up()
        try:
            job = self.queue.submit(start, pairs, self._until(deadline))
            return await self._result(job, deadline, gone)
        except DataError as error:
            raise unprocessable(str(error)) from error

    async def searched(
        self, query: str, count: int, deadline: float, gone: Callable[[], Awaitable[None]]
    ) -> list[Hit]:
        """Return the items whose titles come closest to a query, one search at a time.

        Raises
        ------
        Problem
            429: too many searches wait; 504: the deadline has passed.
        """
        self.check_open()
        await self.follower.catch_up()
        if self._searches >= self.settings.queue_requests:
            self.metrics.refused.inc()
            raise Problem(
                429, "queue_full", f"{self._searches} searches are waiting.", retry_after=1
            )
        self._searches += 1
        try:
            search = self._search.submit(self.index.search, query, count)
            found: list[Hit] = await self._result(search, deadline, gone)
            return found
        finally:
            self._searches -= 1

    async def written(
        self, write: Write, deadline: float, gone: Callable[[], Awaitable[None]]
    ) -> Any:
        """Have something written; when this returns it is durable and known to later requests.

        Raises
        ------
        Problem
            503 where the store does not take it, 504 where that is not known in time.
        """
        self.check_open()
        result = await self._result(self.writer.submit(write), deadline, gone)
        self.follower.store_is_there()
        return result

    def show(self, shown: Shown) -> None:
        """Keep a list that is shown, without waiting for it."""
        self.writer.note(shown)

    def _until(self, deadline: float) -> float:
        return deadline if self._drain_until is None else min(deadline, self._drain_until)

    async def _result(
        self, future: Future[Any], deadline: float, gone: Callable[[], Awaitable[None]]
    ) -> Any:
        answer = asyncio.wrap_future(future)
        left = asyncio.ensure_future(gone())
        try:
            while not answer.done() and not left.done():
                until = self._until(deadline)
                wait = min(1.0, until - time.monotonic())
                if wait <= 0:
                    break
                await asyncio.wait(
                    (answer, left), timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
            if answer.done():
                return answer.result()
            if left.done():
                self.metrics.gone.inc()
                raise ClientGoneError
            self.metrics.late.inc()
            raise late()
        finally:
            left.cancel()
            answer.cancel()
            future.cancel()


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def _warm_up(live: LiveRun) -> None:
    try:
        live.warm_up()
    except Exception:
        # Such as one title that is too long for any prompt: the others are answered.
        log.exception("a first answer could not be made")


def run_name(path: Path) -> str:
    """Return the name of a run without where it lies."""
    return path.resolve().name
