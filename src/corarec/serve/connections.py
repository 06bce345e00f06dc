"""Connections of clients: how many, and how long each may take to say what it wants."""

import asyncio
import resource
import socket
import struct
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
    """HTTP/1.1 in which a request has to come within a time, and an answer to be read within one.

    The web server bounds how long a connection may be idle between two requests; here the first
    request of one, a head that has begun, what is left of a body that nobody waits for, and an
    answer that is not read are bounded, too, however slowly they trickle in or out.
    """

    seconds = 10.0
    """How long a request may take to come; of the whole process."""
    answer_seconds = 60.0
    """How long an answer may take to go; of the whole process."""
    _due: asyncio.TimerHandle | None = None
    _cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        # Whatever the client has not taken is told by `pause_writing`, and nothing is sent after it
        # until it is gone: of many requests in a row no more than one answer waits here.
        transport.set_write_buffer_limits(high=0)
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
        self._go_on()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        if self._cut is None:
            self._cut = self.loop.call_later(self.answer_seconds, self._abort)

    def resume_writing(self) -> None:
        """Go on: the client has read all of it."""
        self._go_on()
        super().resume_writing()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._due = self.loop.call_later(self.seconds, self._end)

    def _rest(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _go_on(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None

    def _abort(self) -> None:
        """Drop the connection with all that was not read of it, here and in the system's buffers.

        A connection that is closed would be kept until the client has read everything.
        """
        if (own := self.transport.get_extra_info("socket")) is not None:
            with suppress(OSError):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _end(self) -> None:
        self._due = None
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
