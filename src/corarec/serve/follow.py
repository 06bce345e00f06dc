"""What changed in the store, whoever wrote it, reaches the scoring thread."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from corarec.serve.store import Changes, Store, StoreUnavailableError

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that an answer waits for the store before it goes on with what is known."""
PAUSE = 1.0
"""Seconds after which a store that failed is asked again."""


class Follower:
    """Reads the store's changes in order, one read at a time.

    Parameters
    ----------
    take
        Called with what changed and whether all that was told before is void, in the reading
        thread; what it submits to the scoring thread comes before later work there.
    """

    def __init__(self, store: Store, take: Callable[[Changes, bool], None]) -> None:
        self._store = store
        self._take = take
        self._name, self._number = "", -1
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="follower")
        self._reading = threading.Lock()
        self._lock = asyncio.Lock()
        self._asked = self._answered = 0
        self._not_before = 0.0
        self.trouble: str | None = None
        """Why the last read failed; None where it did not."""

    @property
    def number(self) -> int:
        """The number of the last change that was read."""
        return self._number

    def read(self) -> None:
        """Read and hand over what changed.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read now.
        """
        with self._reading:
            try:
                changes = self._store.changes(self._name, self._number)
            except StoreUnavailableError as error:
                if self.trouble is None:
                    log.warning("the store cannot be read: %s", error)
                self.trouble = str(error)
                raise
            except Exception as error:
                # Such as a row that another program damaged: what is known is answered.
                log.exception("the store cannot be read")
                self.trouble = f"{type(error).__name__} while it was read"
                raise StoreUnavailableError(self.trouble) from error
            if self.trouble is not None:
                log.warning("the store can be read again")
            self.trouble = None
            reset = bool(self._name) and (
                changes.store != self._name or changes.number < self._number
            )
            if changes.users or changes.items or reset:
                self._take(changes, reset)
            self._name, self._number = changes.store, changes.number

    async def catch_up(self) -> None:
        """Wait until everything that was committed before this call is handed over.

        Where the store fails or takes too long, return without it.
        """
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            # A read that began after this call has answered it.
            if self._answered >= ticket or time.monotonic() < self._not_before:
                return
            begun = self._asked
            done: Future[None] = self._pool.submit(self.read)
            try:
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), PATIENCE)
            except (StoreUnavailableError, TimeoutError):
                self._not_before = time.monotonic() + PAUSE
                return
            self._answered = begun

    def store_is_there(self) -> None:
        """Let the next `catch_up` read, however lately a read failed: the store took a write."""
        self._not_before = 0.0

    def stop(self) -> None:
        """Read no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
