"""One scoring thread: requests of all clients join its batches.

A request's work is a generator that runs in the thread: it yields what it wants scored and is sent
the scores. Several people's few pairs share a forward pass, cut by a budget of tokens; one person's
many items are scored in slices, by the way that reads their common prompt once. No work holds the
thread for longer than one of these steps.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

import numpy as np

from corarec.serve.jobs import Ask, Call, Job, Work, late
from corarec.serve.metrics import Metrics
from corarec.serve.passes import Knows, Passes
from corarec.serve.problems import Problem

log = logging.getLogger(__name__)

BEGINNINGS = 20
"""So often work begins, where what it knows becomes void meanwhile."""


class ScoringQueue:
    """The queue and its thread.

    Parameters
    ----------
    live
        What is served; swapped with `swap`.
    batch_tokens, queue_requests, queue_pairs
        See `ServeSettings`.
    stall_seconds
        A step that takes longer is said to hang.
    """

    def __init__(
        self,
        live: Knows,
        metrics: Metrics,
        *,
        batch_tokens: int,
        queue_requests: int,
        queue_pairs: int,
        stall_seconds: float,
    ) -> None:
        self.live = live
        self.metrics = metrics
        self.queue_requests = queue_requests
        self.queue_pairs = queue_pairs
        self.stall_seconds = stall_seconds
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._active: deque[Job] = deque()
        self._controls: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._requests = self._pairs = 0
        self._stopped = False
        self._busy_since: float | None = None
        self._passes = Passes(live, metrics, batch_tokens)
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)

    # ---- of any thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the step that it is in; what waits fails."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=self.stall_seconds)
        for job in [*self._waiting, *self._active]:
            self._fail(job, _stopping())

    def submit(self, start: Callable[[], Work], pairs: int, deadline: float) -> Future[Any]:
        """Queue a request; cancelling its future frees its place.

        Raises
        ------
        Problem
            429: the queue is full. 503: it was stopped.
        """
        job = Job(start, pairs, deadline)
        with self._changed:
            if self._stopped:
                raise _stopping()
            full = self._requests >= self.queue_requests
            if full or (self._requests and self._pairs + pairs > self.queue_pairs):
                self.metrics.refused.inc()
                raise Problem(
                    429,
                    "queue_full",
                    f"{self._requests} requests with {self._pairs} pairs are waiting, and no more "
                    f"than {self.queue_requests} with {self.queue_pairs} may. Try again later.",
                    retry_after=self._wait_seconds(),
                )
            self._requests += 1
            self._pairs += pairs
            self._tell_size()
            self._waiting.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda _: self._left(job))
        return job.future

    def control(self, do: Callable[[], bool]) -> Future[None]:
        """Have something done in the scoring thread before any work that is submitted later.

        Where it returns true, work that has begun begins once more: what it knows is void, such as
        numbers of items that are given to others now.
        """
        future: Future[None] = Future()

        def controlled() -> None:
            if do():
                for job in self._active:
                    job.work = None

        with self._changed:
            self._controls.append((controlled, future))
            self._changed.notify()
        return future

    def trouble(self) -> str | None:
        """Return why requests hang, or None where they do not."""
        now = time.monotonic()
        if not self._thread.is_alive():
            return "the scoring thread has ended"
        since = self._busy_since
        if since is not None and now - since > self.stall_seconds:
            return f"the scoring thread has been in one step for {now - since:.0f} seconds"
        return None

    def sizes(self) -> tuple[int, int]:
        """Return how many requests, and pairs of them, wait or are scored."""
        return self._requests, self._pairs

    def _left(self, job: Job) -> None:
        with self._changed:
            self._requests -= 1
            self._pairs -= job.pairs
            self._tell_size()

    def _tell_size(self) -> None:
        self.metrics.queue_requests.set(self._requests)
        self.metrics.queue_pairs.set(self._pairs)

    def _wait_seconds(self) -> float:
        rate = self._passes.rate
        return min(60.0, math.ceil(self._pairs / rate)) if rate else 1.0

    # ---- of the scoring thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._stopped or self._controls or self._waiting or self._active):
                    self._changed.wait()
                if self._stopped:
                    return
                controls, self._controls = self._controls, deque()
                arrived, self._waiting = self._waiting, deque()
            self._busy_since = time.monotonic()
            for do, future in controls:
                _settle(future, do)
            self._active.extend(arrived)
            self._drop_the_dead()
            for job in self._active:
                if job.work is None:
                    self._advance(job, None)
            self._active = deque(job for job in self._active if not job.future.done())
            self._step()
            self._active = deque(job for job in self._active if not job.future.done())
            self._busy_since = None

    def _drop_the_dead(self) -> None:
        now = time.monotonic()
        for job in self._active:
            if not job.future.done() and now > job.deadline:
                self._fail(job, late())
        self._active = deque(job for job in self._active if not job.future.done())

    def _advance(self, job: Job, scores: Any) -> None:
        """Start or go on with a job until it wants something or is done."""
        try:
            work = job.work or self._begin(job)
            wanted = work.send(scores)
            while isinstance(wanted, Ask) and not len(wanted):
                wanted = work.send(np.empty(0))
            job.wanted, job.done = wanted, 0
            if isinstance(wanted, Ask):
                job.scores = np.empty(len(wanted), dtype=np.float64)
        except StopIteration as end:
            with suppress(InvalidStateError):
                job.future.set_result(end.value)
        except Exception as error:
            self._fail(job, error)

    def _begin(self, job: Job) -> Work:
        if not job.begun:
            self.metrics.queue_seconds.observe(time.monotonic() - job.since)
        if job.begun == BEGINNINGS:
            raise _changing()
        job.begun += 1
        job.work = job.start()
        return job.work

    def _fail(self, job: Job, error: BaseException) -> None:
        with suppress(InvalidStateError):
            job.future.set_exception(error)

    def _step(self) -> None:
        """Do one call, one slice of one person's items, and one round of joint batches."""
        call = next((job for job in self._active if isinstance(job.wanted, Call)), None)
        if call is not None:
            assert isinstance(call.wanted, Call)
            started = time.monotonic()
            try:
                result = call.wanted.do()
            except Exception as error:
                self._fail(call, error)
            else:
                if pairs := call.wanted.scores(result):
                    self._passes.measure(pairs, None, time.monotonic() - started)
                self._advance(call, result)
            self._to_the_end(call)
        shared = next((job for job in self._active if job.shared and not job.future.done()), None)
        if shared is not None:
            try:
                self._passes.slice(shared)
            except Exception as error:
                self._fail(shared, error)
            else:
                self._end_of(shared)
            self._to_the_end(shared)
        joint = [
            job
            for job in self._active
            if isinstance(job.wanted, Ask) and not job.shared and not job.future.done()
        ]
        if joint:
            self._batches(joint)

    def _to_the_end(self, job: Job) -> None:
        """Let the others have their turn."""
        with suppress(ValueError):
            self._active.remove(job)
            self._active.append(job)

    def _end_of(self, job: Job) -> None:
        """Hand over the scores that a job wanted, where they are all there."""
        if job.done == len(job.scores):
            self._advance(job, job.scores)

    def _batches(self, jobs: Sequence[Job]) -> None:
        """Score pairs of several jobs together: as many as about one forward pass holds."""
        chosen = self._passes.shared_out(jobs)
        try:
            self._passes.score(chosen)
        except Exception as error:
            if len(chosen) == 1:
                self._fail(next(iter(chosen)), error)
            else:
                log.warning("a joint batch failed; its requests are scored one by one")
                for job, count in chosen.items():
                    try:
                        self._passes.score({job: count})
                    except Exception as own:
                        self._fail(job, own)
        for job, count in chosen.items():
            if job.future.done():
                continue
            job.done += count
            self._end_of(job)
        # Whoever had no room is first next time.
        self._active.rotate(-len(chosen))


def _changing() -> Problem:
    return Problem(
        503,
        "changing",
        "Items were removed or people forgotten so often meanwhile that this was begun "
        f"{BEGINNINGS} times and not ended. Try again.",
        retry_after=1,
    )


def _stopping() -> Problem:
    return Problem(503, "stopping", "The service is stopping.", retry_after=1)


def _settle(future: Future[None], do: Callable[[], None]) -> None:
    try:
        do()
    except Exception as error:
        with suppress(InvalidStateError):
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(None)
