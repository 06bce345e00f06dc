"""Connections of clients: how many, and how long each may take to say what it wants."""

import asyncio
import resource
from contextlib import suppress
from typing import Any

from corarec.extras import needs

with needs("serve"):
    from uvicorn.protocols.http.h11_impl import H11Protocol

SPARE = 64
"""Connections beyond the limit that are told so with 503; more are closed at once."""
OWN_FILES = 256
"""Files that the service has open beside its connections, and some to spare."""
LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(H11Protocol):
    """HTTP/1.1 in which a request has to come within a time, however slowly it trickles in.

    The web server bounds how long a connection may be idle between two requests; here the first
    request of one, a head that has begun, and what is left of a body that nobody waits for are
    bounded, too.
    """

    seconds = 10.0
    """How long a request may take to come; of the whole process."""
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        if self.limit_concurrency and len(self.connections) > self.limit_concurrency + SPARE:
            transport.abort()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Go on waiting unless a request is there."""
        super().data_received(data)
        if self._is_answering():
            self._rest()
        elif self._due is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._rest()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._due = self.loop.call_later(self.seconds, self._end)

    def _rest(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _end(self) -> None:
        if self._is_answering() or self.transport.is_closing():
            return
        if self.cycle is None:  # nothing was answered here, so that this is read as the answer
            self.transport.write(LATE)
        self.transport.close()


def allow_files(connections: int) -> None:
    """Let the process have as many files open as it may have connections, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE + OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
